package plugin

import (
	"runtime"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// WithDefaults fills in what was left out.
func (l Limits) WithDefaults(contract wire.Contract) Limits {
	if l.Call == 0 {
		l.Call = 5 * time.Second
		if contract == wire.ContractPlacement {
			l.Call = 500 * time.Millisecond
		}
	}
	if l.Output == 0 {
		l.Output = 1 << 20
	}
	if l.Input == 0 {
		l.Input = 8 << 20
	}
	if l.HostCalls == 0 {
		l.HostCalls = 1000
	}
	if l.Log == 0 {
		l.Log = 64 << 10
	}
	if l.Guests == 0 {
		l.Guests = min(4, runtime.NumCPU())
		if contract == wire.ContractBackend {
			l.Guests = 1 // it is the one that runs the service
		}
	}
	if l.Tasks == 0 {
		l.Tasks = 64
	}
	if l.CPU == 0 {
		l.CPU = 1
	}
	return l
}
