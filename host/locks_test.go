package host

import (
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// TestLockSession: what locks go by is the deadline at the moment of use, not what
// the view said when it was made.
func TestLockSession(t *testing.T) {
	now := time.Unix(1000, 0)
	n := &Node{cfg: Config{TTL: 3 * time.Second, now: func() time.Time { return now }}}
	until := now.Add(3 * time.Second)
	n.view.Store(&core.View{
		Node: "n1", Inc: 7, Session: election.Live.String(), Until: until,
		Members: []core.MemberView{{Member: pluginapi.Member{NodeID: "n2"}, Inc: 4}},
	})
	self := election.Holder{Node: "n1", Inc: 7}
	s := n.lockSession()
	if s.Self != self || !s.Until.Equal(until) || s.Leaving || until.Sub(s.Stop) != n.cfg.budget()+n.cfg.margin() {
		t.Errorf("%+v", s)
	}
	if now = until.Add(-1); n.lockSession().Self != self {
		t.Error("it ends before the deadline")
	}
	if now = until; n.lockSession().Self != (election.Holder{}) {
		t.Error("it holds at the deadline")
	}
	now = time.Unix(1000, 0)
	n.view.Store(&core.View{Node: "n1", Inc: 7, Session: election.Over.String(), Until: until, Shutdown: true})
	if s := n.lockSession(); s.Self != (election.Holder{}) || !s.Leaving {
		t.Errorf("%+v", s)
	}
	n.view.Store(&core.View{Members: []core.MemberView{{Member: pluginapi.Member{NodeID: "n2"}, Inc: 4}}})
	for h, want := range map[election.Holder]bool{{Node: "n2", Inc: 4}: true, {Node: "n2", Inc: 3}: false, {Node: "n3", Inc: 4}: false} {
		if n.confirms(h) != want {
			t.Errorf("confirms(%v) is not %v", h, want)
		}
	}
}
