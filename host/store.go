package host

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/guard"
)

// writeTimeout bounds one write: after it the fate is unknown and the core
// decides anew.
func (n *Node) writeTimeout() time.Duration {
	return min(max(n.cfg.TTL/6, 50*time.Millisecond), time.Second)
}

func (n *Node) bucket(b core.Bucket) *bus.Records {
	if b == core.Sessions {
		return n.sessions
	}
	return n.records
}

// maxWrites bounds how many records are written at once. Sessions are not
// among them: a renewal never waits behind the claims of a thousand apps.
const maxWrites = 32

func (n *Node) write(e core.Write) {
	if e.Bucket == core.Records {
		n.slots <- struct{}{} // those before it end within their timeout
		defer func() { <-n.slots }()
	}
	ctx, cancel := context.WithTimeout(n.life, n.writeTimeout())
	defer cancel()
	seq, err := n.bucket(e.Bucket).CAS(ctx, e.Key, e.After, e.Value)
	r := fate(err)
	if err != nil && r != election.Conflict {
		n.log.Debug("write", "bucket", e.Bucket.String(), "key", e.Key, "fate", r.String(), "err", err)
	}
	n.in.put(core.Written{ID: e.ID, Result: r, Seq: seq})
}

func fate(err error) election.Result {
	switch {
	case err == nil:
		return election.Done
	case errors.Is(err, bus.ErrConflict):
		return election.Conflict
	case errors.Is(err, bus.ErrRefused):
		return election.Refused
	}
	return election.Unknown
}

// readTries is how often a read is tried before the core has to ask again.
const readTries = 8

// read asks the stream's leader. While the stream has none, it asks again.
func (n *Node) read(e core.Read) {
	pause := 5 * time.Millisecond
	for range readTries {
		ctx, cancel := context.WithTimeout(n.life, n.writeTimeout())
		rec, err := n.bucket(e.Bucket).Get(ctx, e.Key)
		cancel()
		if err == nil {
			n.in.put(core.Seen{Bucket: e.Bucket, Key: e.Key, Seq: rec.Seq, Value: rec.Value})
			return
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, 200*time.Millisecond)
		case <-n.life.Done():
			return
		}
	}
}

// watchRecords follows the bucket of records for the life of the loop.
func (n *Node) watchRecords(ctx context.Context) error {
	return n.records.Watch(ctx, ">", n.deliver(ctx, core.Records, nil))
}

// deliver turns what a watch says into inputs; after the first word of it
// loaded is called.
func (n *Node) deliver(ctx context.Context, b core.Bucket, loaded func()) func([]bus.Record) {
	first := true
	if loaded == nil {
		loaded = func() { n.in.put(core.Loaded{Bucket: b}) }
	}
	return func(recs []bus.Record) {
		if ctx.Err() != nil {
			return
		}
		inputs := make([]core.Input, 0, len(recs))
		for _, r := range recs {
			inputs = append(inputs, core.Seen{Bucket: b, Key: r.Key, Seq: r.Seq, Value: r.Value})
		}
		n.in.put(inputs...)
		if first {
			first = false
			loaded()
		}
	}
}

// startObserving follows the sessions that the core names, and no longer those
// it named before.
func (n *Node) startObserving(e core.Observe) {
	if n.observe != nil {
		n.observe()
	}
	ctx, cancel := context.WithCancel(n.life)
	n.observe = cancel
	patterns := e.Nodes
	if e.All {
		patterns = []string{"*"}
	}
	var open sync.WaitGroup
	open.Add(len(patterns))
	for _, p := range patterns {
		n.watching.Go(func() {
			once := sync.OnceFunc(open.Done)
			defer once()
			if err := n.sessions.Watch(ctx, p, n.deliver(ctx, core.Sessions, once)); err != nil {
				n.log.Error("watch sessions", "pattern", p, "err", err)
			}
		})
	}
	n.watching.Go(func() {
		open.Wait()
		if ctx.Err() == nil {
			n.in.put(core.Loaded{Bucket: core.Sessions})
		}
	})
}

// renewed tells the guard until when this node may act.
func (n *Node) renewed(e core.Renewed) {
	if n.guard == nil {
		return
	}
	n.guard.Renewed(guard.Lease{
		Node: n.cfg.Node, Inc: e.Inc, Seq: e.Seq, TTL: n.cfg.TTL, Margin: n.cfg.margin(), Deadline: e.Until.UnixNano(),
	})
}
