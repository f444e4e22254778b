package plan_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// running is a plugin with a current version and a new one in a phase.
func running(t *testing.T, phase plan.Phase) (p plan.Plugin, old, to plan.Version) {
	t.Helper()
	old, to = version("1.0.0"), version("1.1.0")
	p = plan.Plugin{
		Name: "greet", Serial: 5, Enabled: true, Versions: []plan.Version{old, to}, Current: old.Digest,
		Rollout: &plan.Rollout{Phase: phase, To: to.Digest, Node: "n1"},
	}
	if _, err := plan.DecodePlugin("greet", p.Encode()); err != nil {
		t.Fatal(err)
	}
	return p, old, to
}

func report(node string, held ...plan.Held) plan.Report {
	return plan.Report{Node: node, Inc: 1, Plugins: []plan.State{{Name: "greet", Held: held}}}
}

// TestOldReports: what a node said in an earlier rollout of the same version
// counts for nothing in this one.
func TestOldReports(t *testing.T) {
	now := time.Unix(1000, 0)
	p, _, to := running(t, plan.Prepare)
	for stage, want := range map[plan.Stage]plan.Phase{plan.Failed: "", plan.Prepared: plan.Activate, plan.Active: plan.Activate, plan.Verified: plan.Prepare, plan.Missing: plan.Prepare} {
		for _, serial := range []uint64{4, 5} {
			h := plan.Held{Digest: to.Digest, Version: to.Version, Stage: stage, Try: serial, Reason: "it traps"}
			got, changed := plan.Next(p, plan.World{Now: now, Since: now, Nodes: []plan.Report{report("n1", h)}})
			switch {
			case serial == 4 && changed:
				t.Errorf("an old %s changes the record: %s", stage, got.Encode())
			case serial == 5 && want == "" && (got.Rollout != nil || !strings.Contains(got.Last.Reason, "it traps")):
				t.Errorf("%s: %s", stage, got.Encode())
			case serial == 5 && want != "" && (got.Rollout == nil || got.Rollout.Phase != want):
				t.Errorf("%s: %s", stage, got.Encode())
			}
		}
	}
}

// TestFewFaults: one or two calls that fail are no reason to go back, however
// few calls there were.
func TestFewFaults(t *testing.T) {
	now := time.Unix(1000, 0)
	p, _, to := running(t, plan.Watch)
	for faults := range uint64(5) {
		h := plan.Held{Digest: to.Digest, Stage: plan.Active, Try: 5, Tally: plan.Tally{Calls: 4, Faults: faults}}
		got, _ := plan.Next(p, plan.World{Now: now, Since: now, Nodes: []plan.Report{report("n1", h)}})
		if back := got.Rollout == nil; back != (faults >= 3) {
			t.Errorf("%d of 4 calls failed: rolled back: %v", faults, back)
		}
	}
}

// TestSwept: only what was deleted is forgotten.
func TestSwept(t *testing.T) {
	p := plan.Plugin{Name: "greet", Garbage: []string{"plugin.a", "plugin.b", "plugin.c"}}
	if got := p.Swept([]string{"plugin.b", "plugin.x"}); !slices.Equal(got.Garbage, []string{"plugin.a", "plugin.c"}) || len(p.Garbage) != 3 || p.Garbage[1] != "plugin.b" {
		t.Errorf("%v, the old one %v", got.Garbage, p.Garbage)
	}
}

// TestEditsLeaveTheOld: what an edit is made from stays as it was.
func TestEditsLeaveTheOld(t *testing.T) {
	p, _, _ := running(t, plan.Trial)
	before := string(p.Encode())
	for name, edit := range map[string]func() (plan.Plugin, error){
		"rollback": func() (plan.Plugin, error) { return p.Rollback("greet") },
		"remove":   func() (plan.Plugin, error) { return p.Remove("greet") },
		"disable":  func() (plan.Plugin, error) { return p.SetEnabled("greet", false) },
	} {
		got, err := edit()
		if err != nil || string(got.Encode()) == before {
			t.Errorf("%s: %v, %s", name, err, got.Encode())
		}
		if now := string(p.Encode()); now != before {
			t.Errorf("%s has changed %s to %s", name, before, now)
		}
	}
}

// TestRefusals: each refusal is the sentinel that its caller looks for.
func TestRefusals(t *testing.T) {
	rolling, old, to := running(t, plan.Trial)
	settled := rolling
	settled.Rollout, settled.Versions = nil, []plan.Version{old}
	off := settled
	off.Enabled = false
	full := plan.Plugin{Name: "greet"}
	for i := range 61 {
		full.Garbage = append(full.Garbage, "plugin.b"+strings.Repeat("x", i))
	}
	other := to
	other.Contract = "placement"
	bad := to
	bad.Blob = "backups.everything"
	for name, c := range map[string]struct {
		err  func() (plan.Plugin, error)
		want error
	}{
		"install twice":        {func() (plan.Plugin, error) { return settled.Install("greet", to) }, pluginapi.ErrKeyExists},
		"install meanwhile":    {func() (plan.Plugin, error) { return rolling.Install("greet", to) }, pluginapi.ErrConflict},
		"upgrade meanwhile":    {func() (plan.Plugin, error) { return rolling.Upgrade("greet", version("3")) }, pluginapi.ErrConflict},
		"upgrade nothing":      {func() (plan.Plugin, error) { return plan.Plugin{}.Upgrade("greet", to) }, pluginapi.ErrPluginNotFound},
		"upgrade to itself":    {func() (plan.Plugin, error) { return settled.Upgrade("greet", old) }, pluginapi.ErrInvalid},
		"upgrade its contract": {func() (plan.Plugin, error) { return settled.Upgrade("greet", other) }, pluginapi.ErrInvalid},
		"upgrade what is off":  {func() (plan.Plugin, error) { return off.Upgrade("greet", to) }, pluginapi.ErrPluginDisabled},
		"roll nothing back":    {func() (plan.Plugin, error) { return settled.Rollback("greet") }, pluginapi.ErrInvalid},
		"a blob of another":    {func() (plan.Plugin, error) { return settled.Upgrade("greet", bad) }, pluginapi.ErrInvalid},
		"too much garbage":     {func() (plan.Plugin, error) { return full.Install("greet", to) }, pluginapi.ErrBusy},
	} {
		if _, err := c.err(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestHostileRecords: what no node would have written is refused.
func TestHostileRecords(t *testing.T) {
	p, _, _ := running(t, plan.Trial)
	sound := string(p.Encode())
	for name, change := range map[string][2]string{
		"another name":    {`"name":"greet"`, `"name":"other"`},
		"a path as name":  {`"name":"greet"`, `"name":"../x"`},
		"a phase":         {`"phase":"trial"`, `"phase":"party"`},
		"a node":          {`"node":"n1"`, `"node":"n1.>"`},
		"a digest":        {version("1.1.0").Digest, strings.Repeat("Z", 64)},
		"an unknown to":   {`"to":"` + version("1.1.0").Digest, `"to":"` + version("9").Digest},
		"to is current":   {`"to":"` + version("1.1.0").Digest, `"to":"` + version("1.0.0").Digest},
		"a huge package":  {`"size":100`, `"size":99999999999`},
		"no size":         {`"size":100`, `"size":-1`},
		"a contract":      {`"contract":"hook"`, `"contract":"root"`},
		"a blob":          {`"blob":"plugin.1-1-0"`, `"blob":"snapshots.1"`},
		"a version":       {`"version":"1.1.0"`, `"version":"1.1.0\u001b[2J"`},
		"a serial":        {`"serial":5`, `"serial":18446744073709551615`},
		"no json":         {`{`, ``},
		"foreign garbage": {`"current"`, `"garbage":["snapshots.1"],"current"`},
	} {
		text := strings.Replace(sound, change[0], change[1], 1)
		if text == sound {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := plan.DecodePlugin("greet", []byte(text)); err == nil {
			t.Errorf("%s: read: %s", name, text)
		}
	}
	if _, err := plan.DecodePlugin("greet", []byte(sound+strings.Repeat(" ", 70<<10))); err == nil {
		t.Error("a record of 70 KiB was read")
	}
	r := string(report("n1", plan.Held{Digest: version("1").Digest, Version: "1", Stage: plan.Active, Tally: plan.Tally{Calls: 7, Faults: 1}}).Encode())
	for name, change := range map[string][2]string{
		"another node":         {`"node":"n1"`, `"node":"n2"`},
		"a stage":              {`"stage":"active"`, `"stage":"best"`},
		"more faults than all": {`"faults":1`, `"faults":8`},
		"a digest":             {version("1").Digest, "../../etc"},
		"a long reason":        {`"try":0`, `"try":0,"reason":"` + strings.Repeat("x", 600) + `"`},
	} {
		text := strings.Replace(r, change[0], change[1], 1)
		if text == r {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := plan.DecodeReport("n1", []byte(text)); err == nil {
			t.Errorf("%s: read: %s", name, text)
		}
	}
}
