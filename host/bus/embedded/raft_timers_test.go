package embedded

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// A new version of the server may have renamed a timer (then it is 0 here, the
// link does not fail), moved its value, or changed what it means. Read its
// raft.go, correct raft_timers.go, measure with TestKillStreamLeader, and then
// change reviewed.
func TestTimersAreThoseThatWereReviewed(t *testing.T) {
	if server.VERSION != reviewed {
		t.Errorf("nats-server is %s, and raft_timers.go was written for %s", server.VERSION, reviewed)
	}
	for _, tm := range raftTimers() {
		if v := tm.load(); v != tm.stock && v != tm.lan {
			t.Errorf("%s is %v: expected %v, or %v when a test has set it", tm.name, v, tm.stock, tm.lan)
		}
	}
}

// The lookup is bound to a method of the server: it must find the node of a
// group that Raftz lists, and nil for another one.
func TestLookupFindsRaftNodes(t *testing.T) {
	all := runAll(t, voters(t, 2))
	nats := all[0].running.Load().nats
	if n := lookupRaftNode(nats, metaGroup); n == nil || n.Group() != metaGroup {
		t.Errorf("the meta group is %v", n)
	}
	if n := lookupRaftNode(nats, "no such group"); n != nil {
		t.Errorf("a group that is not there is %v", n)
	}
}

func TestSetTimers(t *testing.T) {
	stock := []timer{{name: "x", stock: 4 * time.Second, lan: 400 * time.Millisecond}, {name: "y", stock: time.Second, lan: 100 * time.Millisecond}}
	lan, both := []time.Duration{stock[0].lan, stock[1].lan}, []time.Duration{stock[0].stock, stock[1].stock}
	for _, c := range []struct {
		name       string
		mode       Raft
		have, want []time.Duration
		why        string
	}{
		{"lan sets stock timers", LAN, both, lan, ""},
		{"a second lan server changes nothing", LAN, lan, lan, ""},
		{"one that another server is just setting", LAN, []time.Duration{lan[0], both[1]}, lan, ""},
		{"wan leaves stock timers", WAN, both, both, "raft is set to wan"},
		{"wan after lan", WAN, lan, lan, "x is 400ms, not 4s: another server"},
		{"one was renamed", LAN, []time.Duration{both[0], 0}, []time.Duration{both[0], 0}, "y is 0s, expected 1s: nats-server"},
		{"one has another value", LAN, []time.Duration{5 * time.Second, both[1]}, []time.Duration{5 * time.Second, both[1]}, "x is 5s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			have := append([]time.Duration(nil), c.have...)
			timers := append([]timer(nil), stock...)
			for i := range timers {
				timers[i].value = &have[i]
			}
			why := setTimers(c.mode, timers)
			if !strings.HasPrefix(why, c.why) || (c.why == "") != (why == "") {
				t.Errorf("the reason is %q, want %q", why, c.why)
			}
			for i := range have {
				if have[i] != c.want[i] {
					t.Errorf("%s is %v, want %v", timers[i].name, have[i], c.want[i])
				}
			}
		})
	}
}
