package host

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/rpc"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// What is remembered of apps that this node does not have.
const (
	maxForeign = 1024            // of them
	foreignFor = 5 * time.Second // how long it is believed that nobody has ever led one
)

// directory knows who is where: from the view, and for the leader of an app
// that this node does not have, from the record, which is read again when its
// word turns out to be old.
type directory struct {
	n *Node

	mu      sync.Mutex
	foreign map[string]foreignLead
	view    *core.View // that peers and lives are of
	peers   map[string][]rpc.Peer
	lives   map[string]uint64 // incarnations of members
}

type foreignLead struct {
	rpc.Lead
	at time.Time
}

func newDirectory(n *Node) *directory {
	return &directory{n: n, foreign: map[string]foreignLead{}}
}

// Lead implements rpc.Directory.
func (d *directory) Lead(ctx context.Context, app string) (rpc.Lead, error) {
	if a, ok := d.n.View().Apps[app]; ok {
		return leadOf(a), nil
	}
	d.mu.Lock()
	f, ok := d.foreign[app]
	d.mu.Unlock()
	if ok && (f.Node != "" || time.Since(f.at) < foreignFor) {
		return f.Lead, nil
	}
	l, err := d.read(ctx, app)
	if err != nil {
		return rpc.Lead{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.foreign) >= maxForeign {
		clear(d.foreign)
	}
	d.foreign[app] = foreignLead{l, time.Now()}
	return l, nil
}

func leadOf(a core.AppView) rpc.Lead {
	if !a.Singleton {
		return rpc.Lead{Mode: rpc.LeadNone}
	}
	return rpc.Lead{Mode: rpc.LeadOne, Node: a.Leader, Epoch: a.Epoch}
}

// read asks the store who leads an app.
func (d *directory) read(ctx context.Context, app string) (rpc.Lead, error) {
	if d.n.View().Inc == 0 {
		return rpc.Lead{}, fmt.Errorf("%w: this node has not joined", pluginapi.ErrUnreachable)
	}
	rec, err := d.n.records.Get(ctx, core.KeyApp(app))
	if err != nil || rec.Seq == 0 {
		return rpc.Lead{}, err
	}
	o, err := election.DecodeOwner(core.KeyApp(app), rec.Value)
	return rpc.Lead{Mode: rpc.LeadOne, Node: o.Holder.Node, Epoch: o.Epoch}, err
}

// Wait implements rpc.Directory.
func (d *directory) Wait(ctx context.Context, app string, than rpc.Lead, pause time.Duration) {
	d.mu.Lock()
	if d.foreign[app].Lead == than {
		delete(d.foreign, app)
	}
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, pause)
	defer cancel()
	_ = d.n.Wait(ctx, func(v *core.View) bool {
		a, ok := v.Apps[app]
		return ok && leadOf(a) != than
	})
}

// Peers implements rpc.Directory.
func (d *directory) Peers(app string) []rpc.Peer {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.refresh()
	peers, known := d.peers[app]
	if !known {
		for _, m := range v.Members {
			if slices.Contains(m.Apps, app) {
				peers = append(peers, rpc.Peer{Node: m.NodeID, Healthy: m.IsHealthy})
			}
		}
		d.peers[app] = peers
	}
	return peers
}

// Incarnation implements rpc.Directory. Whoever has no session, or is not in the
// table of members itself, does not know who has left.
func (d *directory) Incarnation(node string) (inc uint64, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.refresh()
	return d.lives[node], v.Inc != 0 && d.lives[v.Node] != 0
}

// refresh brings what is remembered of the view up to date. d.mu is held.
func (d *directory) refresh() *core.View {
	v := d.n.View()
	if d.view != v {
		d.view, d.peers, d.lives = v, map[string][]rpc.Peer{}, make(map[string]uint64, len(v.Members))
		for _, m := range v.Members {
			d.lives[m.NodeID] = m.Inc
		}
	}
	return v
}
