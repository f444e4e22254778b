package host

import (
	"context"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/replica"
)

// placeEvery is the time between two looks at where the streams' leaders are,
// growEvery between two at the replicas of the streams of data.
const (
	placeEvery = 3 * time.Second
	growEvery  = 30 * time.Second
)

// placeStreams keeps the leaders of the streams off the node that leads most
// apps, as long as this node is the controller: when that node dies, its leases
// can then be revoked without waiting for an election of the streams too.
func (n *Node) placeStreams(ctx context.Context) {
	if n.cfg.external() || n.server != nil && n.cfg.Embedded.Cluster == nil {
		return
	}
	tick := time.NewTicker(placeEvery)
	defer tick.Stop()
	grow := time.NewTicker(growEvery)
	defer grow.Stop()
	for {
		var data bool
		select {
		case <-tick.C:
		case <-grow.C:
			data = true
		case <-ctx.Done():
			return
		}
		v := n.View()
		if v.Controller != v.Node {
			continue
		}
		if data {
			n.growData(ctx)
			continue
		}
		for _, r := range []*bus.Records{n.sessions, n.records} {
			n.growStream(ctx, r)
			n.placeStream(ctx, v, r)
		}
	}
}

func (n *Node) growStream(ctx context.Context, r *bus.Records) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := r.Grow(ctx); err != nil {
		n.log.Debug("grow stream", "err", err)
	}
}

// growData gives the streams of apps, locks, events and audit the replicas that
// they could not have when they were made: fewer servers were there.
func (n *Node) growData(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, growEvery/2)
	defer cancel()
	grown, err := n.Bus().GrowStreams(ctx, n.names, n.replicas())
	if len(grown) > 0 {
		n.log.Info("streams have more replicas now", "streams", grown, "replicas", n.replicas())
	}
	if err != nil {
		n.log.Debug("grow streams", "err", err)
	}
}

func (n *Node) placeStream(ctx context.Context, v *core.View, r *bus.Records) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	l, err := r.Leader(ctx)
	if err != nil {
		return
	}
	to := betterPlace(v, l)
	if to == "" {
		return
	}
	n.log.Debug("move leader of stream", "from", l.Leader, "to", to)
	if err := r.StepDownLeader(ctx, to); err != nil {
		n.log.Debug("move leader of stream", "err", err)
	}
}

// betterPlace returns the current replica whose node leads the fewest apps, if
// that is fewer than the node of the present leader does; else "".
func betterPlace(v *core.View, l bus.Leadership) string {
	leads := map[string]int{}
	for _, m := range v.Members {
		leads[m.NodeID] = m.Leads
	}
	best, least := "", leads[l.Leader]
	for _, r := range l.Replicas {
		if r.Current && leads[r.Name] < least {
			best, least = r.Name, leads[r.Name]
		}
	}
	return best
}

// placeFeed keeps the leader of a database's feed off this node while the
// database is written here: whoever leads next needs the feed at once when this
// node is lost.
func (n *Node) placeFeed(ctx context.Context, k *replica.Keeper) {
	if n.server == nil || n.cfg.Embedded.Cluster == nil {
		return
	}
	tick := time.NewTicker(placeEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		tools, _, err := k.Tools()
		if err != nil || k.State().Role != replica.Leading {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		moved, err := tools.Feed.KeepOff(ctx, n.cfg.Node)
		cancel()
		if moved || err != nil {
			n.log.Debug("move leader of a feed", "database", k.Path(), "moved", moved, "err", err)
		}
	}
}
