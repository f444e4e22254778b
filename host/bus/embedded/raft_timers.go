package embedded

import (
	"fmt"
	"sync/atomic"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/nats-io/nats-server/v2/server"
)

// reviewed is the version of nats-server whose raft.go was read for this file:
// what the variables below mean, and what lookupRaftNode gives. A test holds it
// against the version that is built in.
const reviewed = "2.15.2"

// The server's Raft timers. They are variables of the whole process, without an
// option and not exported.
//
//go:linkname minElectionTimeout github.com/nats-io/nats-server/v2/server.minElectionTimeout
var minElectionTimeout time.Duration

//go:linkname maxElectionTimeout github.com/nats-io/nats-server/v2/server.maxElectionTimeout
var maxElectionTimeout time.Duration

//go:linkname minCampaignTimeout github.com/nats-io/nats-server/v2/server.minCampaignTimeout
var minCampaignTimeout time.Duration

//go:linkname maxCampaignTimeout github.com/nats-io/nats-server/v2/server.maxCampaignTimeout
var maxCampaignTimeout time.Duration

//go:linkname hbInterval github.com/nats-io/nats-server/v2/server.hbInterval
var hbInterval time.Duration

//go:linkname lostQuorumInterval github.com/nats-io/nats-server/v2/server.lostQuorumInterval
var lostQuorumInterval time.Duration

//go:linkname lostQuorumCheck github.com/nats-io/nats-server/v2/server.lostQuorumCheck
var lostQuorumCheck time.Duration

// lookupRaftNode finds the Raft node of a group on a server, nil for none. When
// upstream renames it, this package no longer links.
//
//go:linkname lookupRaftNode github.com/nats-io/nats-server/v2/server.(*Server).lookupRaftNode
func lookupRaftNode(s *server.Server, group string) server.RaftNode

// timer is one variable of the server: what upstream sets it to, and what it is
// on a LAN.
type timer struct {
	name       string
	value      *time.Duration
	stock, lan time.Duration
}

// raftTimers lists the server's timers.
func raftTimers() []timer {
	return []timer{
		{"minElectionTimeout", &minElectionTimeout, 4 * time.Second, 400 * time.Millisecond},
		{"maxElectionTimeout", &maxElectionTimeout, 9 * time.Second, 900 * time.Millisecond},
		{"minCampaignTimeout", &minCampaignTimeout, 100 * time.Millisecond, 5 * time.Millisecond},
		{"maxCampaignTimeout", &maxCampaignTimeout, 800 * time.Millisecond, 20 * time.Millisecond},
		{"hbInterval", &hbInterval, time.Second, 100 * time.Millisecond},
		{"lostQuorumInterval", &lostQuorumInterval, 10 * time.Second, time.Second},
		{"lostQuorumCheck", &lostQuorumCheck, 10 * time.Second, time.Second},
	}
}

// setTimers brings the timers of the process to what a mode wants, before a
// server starts. It returns why they are not so, "" when they are.
//
// All servers of a process share the timers, so nothing is kept of our own: the
// variables themselves say what was done. Each changes at most once, from stock
// to LAN, by compare-and-swap, so that servers may start at the same time, and
// a later start writes nothing that a running server reads.
func setTimers(mode Raft, timers []timer) (why string) {
	for _, t := range timers {
		v := t.load()
		if mode == WAN && v != t.stock {
			return fmt.Sprintf("%s is %v, not %v: another server of this process runs with other timers", t.name, v, t.stock)
		}
		if v != t.stock && v != t.lan {
			return fmt.Sprintf("%s is %v, expected %v: nats-server %s is not the one this was made for (%s)", t.name, v, t.stock, server.VERSION, reviewed)
		}
	}
	if mode == WAN {
		return "raft is set to wan"
	}
	for _, t := range timers {
		if t.load() == t.stock {
			atomic.CompareAndSwapInt64((*int64)(t.value), int64(t.stock), int64(t.lan))
		}
	}
	return ""
}

func (t timer) load() time.Duration {
	return time.Duration(atomic.LoadInt64((*int64)(t.value)))
}

// heartbeat is the interval in which a leader is heard.
func heartbeat() time.Duration {
	return time.Duration(atomic.LoadInt64((*int64)(&hbInterval)))
}
