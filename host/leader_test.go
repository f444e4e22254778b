package host

import (
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/election"
)

// Leadership ends by the clock at the moment of use: a process that was paused
// finds it out before its loop has run again (defect 12).
func TestLeaseComparesTheClock(t *testing.T) {
	now := time.Now()
	n, err := New(config(func(c *Config) { c.now = func() time.Time { return now } }))
	if err != nil {
		t.Fatal(err)
	}
	n.view.Store(&core.View{
		Node: "n1", Session: election.Live.String(), Until: now.Add(time.Second),
		Apps: map[string]core.AppView{"web": {Name: "web", Singleton: true, Held: true, HeldEpoch: 7}},
	})
	l, ok := n.Lease("web")
	if !ok || l.Epoch != 7 || !l.Valid() || l.Until() != time.Second || n.Role("web") != "leader" {
		t.Errorf("lease %+v, %v, role %q", l, ok, n.Role("web"))
	}
	if _, ok := n.Lease("db"); ok {
		t.Error("it leads what it does not know")
	}
	now = now.Add(time.Second) // nothing has run since
	if _, ok := n.Lease("web"); ok || l.Valid() || l.Until() > 0 || n.Role("web") != "standby" {
		t.Errorf("after the deadline: leads %v, valid %v, until %v, role %q", ok, l.Valid(), l.Until(), n.Role("web"))
	}
}
