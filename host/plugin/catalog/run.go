package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// errTwice is what a second Run returns.
var errTwice = fmt.Errorf("%w: the catalog was run before", pluginapi.ErrInvalid)

// Run keeps the node as the platform wants it until ctx ends, and returns when
// everything that it has loaded has ended.
//
// # Errors
//
// When the folder cannot be used, or the records not be watched.
func (c *Catalog) Run(ctx context.Context) error {
	store, err := openStore(c.cfg.Dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	again := c.begun
	c.begun, c.life = true, ctx
	c.mu.Unlock()
	if again {
		return errTwice
	}
	records, err := c.cfg.Records(ctx)
	if err != nil {
		c.end()
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("open records of plugins: %w", err)
	}
	c.store, c.records, c.uploads = store, records, newUploads(store.tmp(), c.timing.Idle)
	close(c.ready)
	read := make(chan struct{}) // all that is wanted is known
	var parts sync.WaitGroup
	errs := make([]error, 2)
	parts.Go(func() { errs[0] = c.watchPlugins(ctx, sync.OnceFunc(func() { close(read) })); cancel() })
	parts.Go(func() { errs[1] = c.watchReports(ctx); cancel() })
	parts.Go(func() { c.decideLoop(ctx) })
	parts.Go(func() { c.reportLoop(ctx, read) })
	parts.Go(func() { c.localLoop(ctx, read) })
	parts.Go(func() { c.uploads.run(ctx) })
	parts.Wait()
	c.end()
	return errors.Join(errs...)
}

// end waits until all that was loaded has ended, and tells those who hold a handle
// that no version comes any more.
func (c *Catalog) end() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.working.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, uses := range c.handles {
		for _, h := range uses {
			h.empty(pluginapi.ErrShuttingDown)
		}
	}
}

// running returns once Run has opened everything.
func (c *Catalog) running(ctx context.Context) error {
	c.mu.Lock()
	over := c.over
	c.mu.Unlock()
	if over {
		return pluginapi.ErrShuttingDown
	}
	select {
	case <-c.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the catalog of plugins: %w", ctx.Err())
	}
}

func (c *Catalog) watchPlugins(ctx context.Context, read func()) error {
	return c.records.Watch(ctx, keyPlugin+"*", func(recs []bus.Record) {
		for _, rec := range recs {
			c.takePlugin(rec)
		}
		c.sweep()
		read()
	})
}

// takePlugin tells the worker of a plugin what is wanted of it now. A record that
// cannot be read changes nothing.
func (c *Catalog) takePlugin(rec bus.Record) {
	p, fresh, err := c.view.takePlugin(rec)
	if err != nil {
		c.log.Error("read plugin record", "key", rec.Key, "err", err)
		return
	}
	if !fresh {
		return
	}
	c.mu.Lock()
	known := c.workers[p.Name] != nil
	c.mu.Unlock()
	if p.Installed() || known {
		c.worker(p.Name).want(rec.Seq, p)
	}
	token(c.look)
}

func (c *Catalog) watchReports(ctx context.Context) error {
	return c.records.Watch(ctx, keyReport+"*", func(recs []bus.Record) {
		for _, rec := range recs {
			if err := c.view.takeReport(rec); err != nil {
				c.log.Error("read report of a node", "key", rec.Key, "err", err)
			}
		}
		token(c.look)
	})
}

// sweep deletes, once, the packages that were left behind by an earlier life of
// the node: those of plugins that were removed meanwhile.
func (c *Catalog) sweep() {
	c.mu.Lock()
	swept := c.swept
	c.swept = true
	c.mu.Unlock()
	if swept {
		return
	}
	var kept []string
	for _, e := range c.view.all() {
		kept = append(kept, e.p.Want(c.cfg.Node).Keep...)
	}
	for _, d := range c.store.all() {
		if slices.Contains(kept, d) {
			continue
		}
		if err := c.store.drop(d); err != nil {
			c.log.Warn("a package that is not needed was left behind", "err", err)
		}
	}
}

// reportLoop tells the platform what this node has, when it changes.
func (c *Catalog) reportLoop(ctx context.Context, read <-chan struct{}) {
	select { // what was not compared with what is wanted says nothing
	case <-read:
	case <-ctx.Done():
		return
	}
	changed, cancel := c.cfg.Changes()
	defer cancel()
	tick := time.NewTicker(c.timing.Tick)
	defer tick.Stop()
	r := &reporter{c: c}
	for {
		if err := r.report(ctx); err != nil && ctx.Err() == nil {
			c.log.Debug("report plugins", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-c.dirty:
		case <-changed:
		case <-tick.C:
		}
	}
}

// reporter writes the report of this node.
type reporter struct {
	c    *Catalog
	last plan.Report // as it was written
	seq  uint64      // of the record; 0: it has to be read
}

func (r *reporter) report(ctx context.Context) error {
	m := r.c.cfg.Members()
	if m.Inc == 0 {
		return nil
	}
	now := plan.Report{Node: r.c.cfg.Node, Inc: m.Inc}
	for _, w := range r.c.all() {
		if s, any := w.state(); any {
			now.Plugins = append(now.Plugins, s)
		}
	}
	if r.seq > 0 && same(now, r.last, r.c.view.rolling()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	key := keyReport + r.c.cfg.Node
	if r.seq == 0 {
		rec, err := r.c.records.Get(ctx, key)
		if err != nil {
			return err
		}
		if old, err := plan.DecodeReport(r.c.cfg.Node, rec.Value); err == nil && old.Inc > m.Inc {
			return nil // another life of this node has come after this one
		}
		r.seq = rec.Seq
	}
	seq, err := r.c.records.CAS(ctx, key, r.seq, now.Encode())
	if err != nil {
		r.seq = 0
		return err
	}
	r.last, r.seq = now, seq
	return nil
}

// writeTimeout bounds one write of a record.
const writeTimeout = 5 * time.Second

// same says whether two reports say the same; what was counted matters only
// while versions are compared.
func same(a, b plan.Report, tallies bool) bool {
	if a.Inc != b.Inc || len(a.Plugins) != len(b.Plugins) {
		return false
	}
	for i, s := range a.Plugins {
		o := b.Plugins[i]
		equal := func(x, y plan.Held) bool {
			if !tallies {
				x.Tally, y.Tally = plan.Tally{}, plan.Tally{}
			}
			return x == y
		}
		if s.Name != o.Name || s.Local != o.Local || !slices.EqualFunc(s.Held, o.Held, equal) {
			return false
		}
	}
	return true
}

// decideLoop carries rollouts on, as long as this node is the controller.
func (c *Catalog) decideLoop(ctx context.Context) {
	tick := time.NewTicker(c.timing.Tick)
	defer tick.Stop()
	since := map[string]seen{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.look:
		case <-tick.C:
		}
		m := c.cfg.Members()
		if !m.Controller {
			clear(since)
			continue
		}
		for _, e := range c.view.all() {
			if err := c.decide(ctx, e, m, since); err != nil && ctx.Err() == nil {
				c.log.Debug("carry rollout on", "plugin", e.p.Name, "err", err)
			}
		}
	}
}

// seen says since when this controller has seen a phase.
type seen struct {
	key string
	at  time.Time
}

func (c *Catalog) decide(ctx context.Context, e entry, m Members, since map[string]seen) error {
	now := time.Now()
	if s := since[e.p.Name]; s.key != e.p.Key() {
		since[e.p.Name] = seen{e.p.Key(), now}
	}
	if len(e.p.Garbage) > 0 {
		err := c.collect(ctx, e)
		if err == nil {
			return nil // the next look sees the record as it is now
		}
		c.log.Debug("delete old packages", "plugin", e.p.Name, "err", err)
	}
	next, changed := plan.Next(e.p, plan.World{Now: now, Since: since[e.p.Name].at, Nodes: c.view.nodes(m.Live), Rules: c.cfg.Rules})
	if !changed {
		return nil
	}
	if err := c.write(ctx, e.seq, next); err != nil {
		return err
	}
	c.log.Info("rollout of a plugin", "plugin", next.Name, "was", phaseOf(e.p), "is", phaseOf(next))
	if next.Rollout == nil && next.Last != nil {
		c.tellOutcome(next)
	}
	return nil
}

func phaseOf(p plan.Plugin) string {
	if p.Rollout == nil {
		return "over"
	}
	return strings.TrimSpace(string(p.Rollout.Phase) + " " + p.Rollout.Node)
}

func (c *Catalog) tellOutcome(p plan.Plugin) {
	action := "rollout_done"
	if !p.Last.Done {
		action = "rolled_back"
	}
	c.cfg.OnEvent(Event{
		Action: action, Plugin: p.Name, ID: fmt.Sprintf("%s.%s.%d", action, p.Name, p.Serial),
		Data: map[string]any{"from": p.Last.From, "to": p.Last.To, "reason": p.Last.Reason},
	})
}

// write changes the record of a plugin, and takes the change at once.
func (c *Catalog) write(ctx context.Context, seq uint64, p plan.Plugin) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	value := p.Encode()
	at, err := c.records.CAS(ctx, keyPlugin+p.Name, seq, value)
	if err != nil {
		return err
	}
	c.takePlugin(bus.Record{Key: keyPlugin + p.Name, Seq: at, Value: value})
	return nil
}

// collect deletes the blobs that nobody needs any more.
func (c *Catalog) collect(ctx context.Context, e entry) error {
	blobs, err := c.cfg.Blobs(ctx)
	if err != nil {
		return err
	}
	for _, name := range e.p.Garbage {
		if err := blobs.Delete(ctx, name); err != nil && !errors.Is(err, bus.ErrBlobNotFound) {
			return err
		}
	}
	return c.write(ctx, e.seq, e.p.Swept(e.p.Garbage))
}
