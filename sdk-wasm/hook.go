package sdk

import (
	"slices"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// The kinds of events that a hook is told of.
const (
	Active            = pluginapi.HookActive
	Passive           = pluginapi.HookPassive
	Start             = pluginapi.HookStart
	Stop              = pluginapi.HookStop
	LeaderChange      = pluginapi.HookLeaderChange
	Own               = pluginapi.HookOwn
	Release           = pluginapi.HookRelease
	MemberJoin        = pluginapi.HookMemberJoin
	MemberLeave       = pluginapi.HookMemberLeave
	HealthChange      = pluginapi.HookHealthChange
	MigrationStart    = pluginapi.HookMigrationStart
	MigrationComplete = pluginapi.HookMigrationComplete
	PlacementInvalid  = pluginapi.HookPlacementInvalid
)

// Handle does what is to be done for an event. An event may be told again after
// a crash, with the same ID. An error of [Reject] for MigrationStart is a veto.
type Handle func(c *Call, e Event) error

// Hook makes a hook of a function. It is told of events of the kinds that are
// listed, of all if none is.
func Hook(a About, handle Handle, kinds ...Kind) *Guest {
	d := wire.Description{Contract: wire.ContractHook}
	for _, k := range kinds {
		d.Events = append(d.Events, string(k))
	}
	return newGuest(a, d, hook(handle))
}

type hook Handle

func (h hook) do(c *Call, op string, in, dst []byte) ([]byte, error) {
	if op != wire.OpEvent {
		return dst, pluginapi.ErrNoMethod
	}
	var m wire.Event
	if err := m.Decode(slices.Clone(in)); err != nil {
		return dst, err
	}
	return dst, h(c, m.HookEvent)
}
