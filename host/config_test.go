package host

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/bus/embedded"
	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

func config(change func(*Config)) Config {
	c := Config{Platform: "p", Node: "n1", NATS: bus.Config{URLs: []string{"nats://127.0.0.1:1"}}}
	change(&c)
	return c
}

// A config that cannot work is refused with what would.
func TestConfigCheck(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // "" is good
	}{
		"good":                {func(*Config) {}, ""},
		"shortest":            {func(c *Config) { c.TTL = MinTTL }, ""},
		"longest":             {func(c *Config) { c.TTL = time.Hour }, ""},
		"exactly a third":     {func(c *Config) { c.TTL, c.Heartbeat = 3*time.Second, time.Second }, ""},
		"embedded":            {func(c *Config) { c.Embedded, c.DataDir = &embedded.Config{}, "d" }, ""},
		"platform":            {func(c *Config) { c.Platform = "p.q" }, "platform name"},
		"node":                {func(c *Config) { c.Node = "" }, "node name is empty"},
		"label":               {func(c *Config) { c.Labels = map[string]string{"": "x"} }, "label name is empty"},
		"label value":         {func(c *Config) { c.Labels = map[string]string{"k": "\x00"} }, "control characters"},
		"too short":           {func(c *Config) { c.TTL = MinTTL - 1 }, "allowed are"},
		"too long":            {func(c *Config) { c.TTL = time.Hour + 1 }, "allowed are"},
		"negative ttl":        {func(c *Config) { c.TTL = -1 }, "lease ttl is -1ns"},
		"negative heartbeat":  {func(c *Config) { c.Heartbeat = -1 }, "heartbeat is -1ns"},
		"more than a third":   {func(c *Config) { c.TTL, c.Heartbeat = 3*time.Second, time.Second+1 }, "give a ttl of"},
		"hook timeout":        {func(c *Config) { c.HookTimeout = -1 }, "hook timeout"},
		"shutdown timeout":    {func(c *Config) { c.ShutdownTimeout = -1 }, "shutdown timeout"},
		"no NATS":             {func(c *Config) { c.NATS.URLs = nil }, "neither an embedded server nor the URL"},
		"no folder":           {func(c *Config) { c.Embedded = &embedded.Config{} }, "needs a data directory"},
		"app name":            {func(c *Config) { c.Apps = []App{{Name: "a b"}} }, "app name"},
		"app twice":           {func(c *Config) { c.Apps = []App{{Name: "a"}, {Name: "a"}} }, "registered twice"},
		"app's hook timeout":  {func(c *Config) { c.Apps = []App{{Name: "a", HookTimeout: -1}} }, "hook timeout of app a"},
		"stop does not fit":   {func(c *Config) { c.TTL, c.Heartbeat = MinTTL, MinTTL/3 }, ""},
		"everything at once":  {func(c *Config) { c.Platform, c.Node, c.TTL = "", "", -1 }, "node name is empty"},
		"everything at once2": {func(c *Config) { c.Platform, c.Node, c.TTL = "", "", -1 }, "lease ttl is -1ns"},
	} {
		t.Run(name, func(t *testing.T) {
			err := config(c.change).Check()
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (!errors.Is(err, pluginapi.ErrInvalid) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// Whatever config is taken: a renewal, the stopping of all work and the margin
// fit into the lease.
func TestConfigFits(t *testing.T) {
	for ttl := MinTTL; ttl <= time.Hour; ttl = ttl*5/4 + time.Millisecond {
		for part := time.Duration(3); part < 10; part++ {
			c := config(func(c *Config) { c.TTL, c.Heartbeat = ttl, ttl/part })
			if c.Check() != nil {
				continue
			}
			if d := c.withDefaults(); d.Heartbeat+d.budget()+d.margin() > d.TTL {
				t.Errorf("ttl %v, heartbeat %v, budget %v, margin %v", d.TTL, d.Heartbeat, d.budget(), d.margin())
			}
		}
		if c := config(func(c *Config) { c.TTL = ttl }); c.Check() != nil {
			t.Errorf("the default heartbeat does not fit into %v: %v", ttl, c.Check())
		}
	}
}

// The default lease depends on who runs the NATS; an app has its node's hook
// timeout unless it has its own; the caller's apps are not changed.
func TestConfigDefaults(t *testing.T) {
	apps := []App{{Name: "a"}, {Name: "b", HookTimeout: time.Second}}
	c := config(func(c *Config) { c.Apps, c.HookTimeout = apps, time.Minute }).withDefaults()
	if c.TTL != DefaultExternalTTL || c.Heartbeat != DefaultExternalTTL/4 || c.ShutdownTimeout != DefaultShutdown || c.Logger == nil || c.now == nil {
		t.Errorf("defaults %+v", c)
	}
	if c.Apps[0].HookTimeout != time.Minute || c.Apps[1].HookTimeout != time.Second || apps[0].HookTimeout != 0 {
		t.Errorf("hook timeouts %v %v, the caller's %v", c.Apps[0].HookTimeout, c.Apps[1].HookTimeout, apps[0].HookTimeout)
	}
	if c := config(func(c *Config) { c.Embedded = &embedded.Config{} }).withDefaults(); c.TTL != DefaultTTL {
		t.Errorf("embedded ttl %v", c.TTL)
	}
	if c := config(func(c *Config) { c.Join = &embedded.Join{} }).withDefaults(); c.TTL != DefaultTTL {
		t.Errorf("joined ttl %v", c.TTL)
	}
}

// An operator is told what a fault would teach.
func TestWarnings(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		nats   control.NATS
		want   []string
	}{
		"two voters": {func(c *Config) { c.Guard = []string{"g"} }, control.NATS{Mode: control.ModeEmbedded, Voters: 2}, []string{"two voters"}},
		"three":      {func(c *Config) { c.Guard = []string{"g"} }, control.NATS{Mode: control.ModeEmbedded, Voters: 3}, nil},
		"alone":      {func(*Config) {}, control.NATS{Mode: control.ModeEmbedded, Voters: 1}, []string{"no guard"}},
		"short ttl":  {func(c *Config) { c.TTL = time.Second }, control.NATS{Mode: control.ModeExternal}, []string{"lease ttl 1s", "no guard"}},
		"joined":     {func(c *Config) { c.Guard = []string{"g"} }, control.NATS{Mode: control.ModeClient, Voters: 3}, nil},
		"joined one": {func(c *Config) { c.Guard = []string{"g"} }, control.NATS{Mode: control.ModeClient, Voters: 1}, []string{"one voter"}},
		"joined two": {func(c *Config) { c.Guard = []string{"g"} }, control.NATS{Mode: control.ModeClient, Voters: 2}, []string{"two voters"}},
		"external":   {func(c *Config) { c.Guard = []string{"g"} }, control.NATS{Mode: control.ModeExternal}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			n := &Node{cfg: config(c.change).withDefaults()}
			got := n.warnings(control.Status{NATS: c.nats})
			if len(got) != len(c.want) {
				t.Fatalf("warnings %q, want %q", got, c.want)
			}
			for i, w := range c.want {
				if !strings.Contains(got[i], w) {
					t.Errorf("warning %q, want %q", got[i], w)
				}
			}
		})
	}
}

// The leader of a stream goes to the current replica whose node leads the
// fewest apps, and stays where it is when nothing is gained.
func TestBetterPlace(t *testing.T) {
	view := func(leads map[string]int) *core.View {
		v := &core.View{}
		for node, n := range leads {
			v.Members = append(v.Members, core.MemberView{Member: pluginapi.Member{NodeID: node}, Leads: n})
		}
		return v
	}
	replicas := func(current ...string) (out []bus.Replica) {
		for _, name := range []string{"n1", "n2", "n3"} {
			r := bus.Replica{Name: name}
			for _, c := range current {
				r.Current = r.Current || c == name
			}
			out = append(out, r)
		}
		return out
	}
	for name, c := range map[string]struct {
		leads   map[string]int
		leader  string
		current []string
		want    string
	}{
		"most leases with the leader": {map[string]int{"n1": 5, "n2": 2, "n3": 1}, "n1", []string{"n2", "n3"}, "n3"},
		"the best is behind":          {map[string]int{"n1": 5, "n2": 2, "n3": 1}, "n1", []string{"n2"}, "n2"},
		"all are behind":              {map[string]int{"n1": 5}, "n1", nil, ""},
		"nothing gained":              {map[string]int{"n1": 1, "n2": 1, "n3": 1}, "n1", []string{"n2", "n3"}, ""},
		"already best":                {map[string]int{"n1": 0, "n2": 1, "n3": 2}, "n1", []string{"n2", "n3"}, ""},
		"a witness leads nothing":     {map[string]int{"n1": 1, "n2": 1}, "n1", []string{"n2", "n3"}, "n3"},
	} {
		t.Run(name, func(t *testing.T) {
			l := bus.Leadership{Leader: c.leader, Replicas: replicas(c.current...)}
			if got := betterPlace(view(c.leads), l); got != c.want {
				t.Errorf("move to %q, want %q", got, c.want)
			}
		})
	}
}
