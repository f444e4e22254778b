package backend

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	hostguard "github.com/ozanturksever/go-cluster/host/guard"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// benched is a backend of a benchmark and the folder that rules its service.
type benched struct {
	pluginapi.Backend
	fences []pluginapi.Fence
	failed <-chan error
}

func benchKinds(b *testing.B) map[string]func() benched {
	in := pluginapi.Instance{Platform: fmt.Sprintf("b%d", os.Getpid()), Node: "n1", App: "x"}
	once := RestartPolicy{Disabled: true}
	return map[string]func() benched{
		"process": func() benched {
			program, err := boxedProgram(b)
			if err != nil {
				b.Fatal(err)
			}
			p := NewProcess(ProcessConfig{Command: program, Args: []string{b.TempDir()}, Restart: once})
			in.App = "p"
			fences, err := p.Bind(in)
			if err != nil {
				b.Fatal(err)
			}
			return benched{p, fences, p.Failed()}
		},
		"docker": func() benched {
			in.App = "d"
			x := newBox(b, in, b.TempDir(), func(c *DockerConfig) { c.Restart = once })
			return benched{x, x.fences, x.Failed()}
		},
		"systemd": func() benched {
			in.App = strings.ReplaceAll(fmt.Sprintf("bench-%d", os.Getpid()), "_", "-")
			u := newUnit(b, in, plainUnit, WithSystemdRestart(once))
			return benched{u, u.fences, u.Failed()}
		},
	}
}

func boxedProgram(b *testing.B) (string, error) {
	root, err := aSystemd()
	return filepath.Join(root, "share", "boxed"), err
}

// BenchmarkBackends measures, of each backend beside the others, how long a start
// and a stop take, a guard's kill of all fences, and from there until the host is
// told that the service has failed.
func BenchmarkBackends(b *testing.B) {
	for name, make := range benchKinds(b) {
		b.Run(name, func(b *testing.B) {
			x := make()
			var start, stop, kill, tell time.Duration
			for b.Loop() {
				begun := time.Now()
				if err := x.Start(b.Context()); err != nil {
					b.Fatal(err)
				}
				start += time.Since(begun)
				begun = time.Now()
				if err := x.Stop(b.Context()); err != nil {
					b.Fatal(err)
				}
				stop += time.Since(begun)
				if err := x.Start(b.Context()); err != nil {
					b.Fatal(err)
				}
				begun = time.Now()
				if err := hostguard.Kill(b.Context(), x.fences); err != nil {
					b.Fatal(err)
				}
				kill += time.Since(begun)
				<-x.failed
				tell += time.Since(begun)
				if err := x.Stop(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			for unit, d := range map[string]time.Duration{"start-ms": start, "stop-ms": stop, "kill-ms": kill, "told-ms": tell} {
				b.ReportMetric(float64(d.Microseconds())/1000/float64(b.N), unit)
			}
		})
	}
}
