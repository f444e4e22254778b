package embedded

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// raftGroup is one Raft group that has a replica on this server: the meta
// group, a stream, a consumer.
type raftGroup struct {
	name   string
	node   server.RaftNode
	leader string            // name of the leader's server, its Raft id when the name is not known, "" for none
	peers  map[string]string // id -> name of the servers that have a replica, with this one
}

func (g raftGroup) led() bool { return g.node.State() == server.Leader }

func (g raftGroup) has(server string) bool {
	for _, name := range g.peers {
		if name == server {
			return true
		}
	}
	return false
}

// raftGroups walks all Raft groups of a server.
func raftGroups(srv *server.Server) iter.Seq[raftGroup] {
	return func(yield func(raftGroup) bool) {
		for _, account := range []string{appAccount, systemAccount} {
			all := srv.Raftz(&server.RaftzOptions{AccountFilter: account})
			if all == nil {
				continue
			}
			for name, info := range (*all)[account] {
				node := lookupRaftNode(srv, name)
				if node == nil {
					continue
				}
				g := raftGroup{name: name, node: node, peers: map[string]string{info.ID: srv.Name()}}
				for id, p := range info.Peers {
					g.peers[id] = p.Name
				}
				g.leader = cmp.Or(g.peers[info.Leader], info.Leader)
				if !yield(g) {
					return
				}
			}
		}
	}
}

// campaign lets every Raft node stand for election whose leader was on the dead
// peer, or that has a replica there and knows no leader. It returns how many
// there were. A group with a living leader is left alone.
//
// It is Campaign, not CampaignImmediately: that one is meant for the first
// leader of a new group, and from then on its node counts the votes of empty
// logs. With it, a server that came back with an empty disk could help a stale
// one to lead, and acknowledged writes would be lost.
func campaign(srv *server.Server, dead string) (stood int) {
	for g := range raftGroups(srv) {
		if g.node.State() != server.Follower || !orphan(g, dead) {
			continue
		}
		if g.node.Campaign() == nil {
			stood++
		}
	}
	return stood
}

func orphan(g raftGroup, dead string) bool {
	if g.leader != "" {
		return g.leader == dead
	}
	return g.has(dead)
}

// notCurrent names the servers of which this one knows that a replica is behind
// or silent: of the groups that it leads, their followers; of the others,
// itself. A voter that the meta group does not have yet counts too.
func notCurrent(srv *server.Server, voters []string) []string {
	behind := map[string]bool{}
	for g := range raftGroups(srv) {
		if g.name == metaGroup {
			for _, v := range voters {
				behind[v] = behind[v] || !g.has(v)
			}
		}
		if !g.led() {
			if g.leader == "" || !g.node.Current() {
				behind[srv.Name()] = true
			}
			continue
		}
		for _, p := range g.node.Peers() {
			if !upToDate(p) && p.ID != g.node.ID() {
				behind[cmp.Or(g.peers[p.ID], p.ID)] = true
			}
		}
	}
	names := []string{}
	for name, is := range behind {
		if is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// upToDate says whether a follower has all that was committed and was heard
// within 3 heartbeats.
func upToDate(p *server.Peer) bool {
	return p.Current && !p.Last.IsZero() && time.Since(p.Last) <= 3*heartbeat()
}

// metaLeader is the name of the server that leads JetStream's meta group, "" for
// none.
func metaLeader(srv *server.Server) string {
	for g := range raftGroups(srv) {
		if g.name == metaGroup {
			return g.leader
		}
	}
	return ""
}

const metaGroup = "_meta_"

const stepDownEvery = 10 * time.Millisecond

// stepDown hands every leadership of a server to a follower that is up to date,
// the one of the meta group last, and returns when others lead.
func stepDown(ctx context.Context, srv *server.Server, alone func() bool) error {
	tick := time.NewTicker(stepDownEvery)
	defer tick.Stop()
	asked := map[string]uint64{} // group -> term in which it was asked
	for {
		left := handOver(srv, asked)
		if len(left) == 0 {
			return nil
		}
		if alone() {
			return fmt.Errorf("hand over raft groups %v: no other server is there to take them", left)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("hand over raft groups %v: no other server is up to date and took them: %w", left, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// handOver asks once, and returns the groups that still are led here, or were
// and now are led by nobody.
func handOver(srv *server.Server, asked map[string]uint64) (left []string) {
	var meta []raftGroup
	for g := range raftGroups(srv) {
		if _, ours := asked[g.name]; !g.led() && (g.leader != "" || !ours) {
			continue
		}
		left = append(left, g.name)
		if g.name == metaGroup {
			meta = append(meta, g)
		} else {
			askToStepDown(g, asked)
		}
	}
	if len(left) == len(meta) {
		for _, g := range meta {
			askToStepDown(g, asked)
		}
	}
	slices.Sort(left)
	return left
}

// askToStepDown asks a leader once in each of its terms.
func askToStepDown(g raftGroup, asked map[string]uint64) {
	term := g.node.Term()
	if !g.led() || asked[g.name] == term {
		return
	}
	for _, p := range g.node.Peers() {
		if p.ID != g.node.ID() && upToDate(p) && g.node.StepDown(p.ID) == nil {
			asked[g.name] = term
			return
		}
	}
}
