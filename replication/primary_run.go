package replication

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/flow"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// Run feeds changes until ctx ends; what was committed by then may not be in
// the feed, see Sync. It returns nil then, [pluginapi.ErrFenced] when a newer
// epoch is there, and what keeps the database from being read.
func (p *Primary) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		err := p.capture.Run(ctx, p.given, p.emit)
		if ctx.Err() == nil {
			cancel(err)
		}
	})
	p.loop(ctx, &wg, cancel)
	wg.Wait()
	p.note(func() { p.fenced = true }) // nothing more will be durable
	if err := p.remember(); err != nil {
		p.cfg.Logger.Warn("remember position", "database", p.cfg.Path, "err", err)
	}
	if t := p.capture.Table(); t != nil && t.Pages() > 0 && t.Sum() == p.durable.Sum {
		p.keep(t)
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("feed changes of %s: %w", p.cfg.Path, err)
	}
	return nil
}

// emit takes one part of a change from the capture, and holds it up when too
// much is on its way.
func (p *Primary) emit(ctx context.Context, c sqlite.Change) error {
	if every := cmp.Or(p.cfg.PagesEvery, DefaultPagesEvery); c.Part == 0 && time.Since(p.kept) >= every {
		p.kept = time.Now()
		if t := p.capture.Table(); t.Sum() == p.encoder.sum { // else not all of it is known
			p.keep(t)
		}
	}
	change, messages, err := p.encoder.add(ctx, c)
	if err != nil || messages == nil {
		return err
	}
	b := batch{change, messages, make(chan struct{})}
	select {
	case p.batches <- b:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.note(func() { p.emitted = change.Last; p.bytes += uint64(change.Bytes) + p.encoder.takeStored() })
	select {
	case <-b.taken:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keep writes the hashes of the database as it was at a change that is in the
// feed or on its way there.
func (p *Primary) keep(t *sqlite.Table) {
	p.mu.Lock()
	seq := p.seq
	p.mu.Unlock()
	if err := keepPages(p.cfg.Path, pages{t, seq}); err != nil {
		p.cfg.Logger.Warn("a restart will send all pages", "database", p.cfg.Path, "err", err)
	}
}

// loop runs the machine.
func (p *Primary) loop(ctx context.Context, wg *sync.WaitGroup, cancel context.CancelCauseFunc) {
	for {
		var effects []flow.Effect
		select {
		case <-ctx.Done():
			return
		case in := <-p.answers:
			effects = p.machine.Step(in)
		case b := <-p.batches:
			p.waiting = append(p.waiting, b)
			effects = p.machine.Step(flow.Captured{Change: b.change})
			p.held = append(p.held, b.taken)
		}
		for _, e := range effects {
			p.do(ctx, wg, cancel, e)
		}
		if !p.holding {
			for _, taken := range p.held {
				close(taken)
			}
			p.held = nil
		}
	}
}

func (p *Primary) do(ctx context.Context, wg *sync.WaitGroup, cancel context.CancelCauseFunc, e flow.Effect) {
	switch e := e.(type) {
	case flow.Send:
		messages := p.waiting[0].messages
		wg.Go(func() { p.answer(ctx, p.send(ctx, e, messages)) })
	case flow.Probe:
		wg.Go(func() { p.answer(ctx, p.probe(ctx)) })
	case flow.Hold:
		p.holding = e.Wait
	case flow.Durable:
		p.waiting = p.waiting[1:]
		p.note(func() { p.durable, p.seq = e.Position, e.Seq; p.answerMarks() })
	case flow.Fenced:
		cancel(fmt.Errorf("%w: epoch %d has been raised, this is %d", pluginapi.ErrFenced, e.By, p.cfg.Epoch))
		p.note(func() { p.fenced = true })
	}
}

// answer hands the outcome of an effect to the loop.
func (p *Primary) answer(ctx context.Context, in flow.Input) {
	select {
	case p.answers <- in:
	case <-ctx.Done():
	}
}

func (p *Primary) send(ctx context.Context, e flow.Send, messages [][]byte) flow.Input {
	seq, err := p.cfg.Feed.Append(ctx, max(e.EpochSeq, e.Seq), messages)
	if err != nil {
		p.cfg.Logger.Debug("append change", "last", e.Change.Last, "err", err)
		return flow.Unknown{}
	}
	return flow.Stored{Seq: seq}
}

// probePause is between two questions about the end of the feed.
const probePause = 20 * time.Millisecond

func (p *Primary) probe(ctx context.Context) flow.Input {
	head, err := p.cfg.Feed.Head(ctx)
	var last flow.Change
	if err == nil {
		last, err = lastOf(head)
	}
	if err != nil {
		p.cfg.Logger.Debug("look for the end of the feed", "err", err)
		select {
		case <-time.After(probePause):
		case <-ctx.Done():
		}
		return flow.Unreadable{}
	}
	return flow.Found{Epoch: head.Epoch, EpochSeq: head.EpochSeq, Last: last, Seq: head.LastSeq}
}

// note changes what others wait for.
func (p *Primary) note(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

// Sync waits until every transaction that was committed before the call is in
// the feed: on disk at a majority of its servers.
//
// # Errors
//
// [pluginapi.ErrFenced] when Run has ended or a newer epoch is there: then
// they may be in the feed or not. ctx's.
func (p *Primary) Sync(ctx context.Context) error {
	if err := p.capture.Sync(ctx); err != nil {
		return fmt.Errorf("sync %s: %w", p.cfg.Path, err)
	}
	p.mu.Lock()
	want := p.emitted
	p.mu.Unlock()
	for {
		p.mu.Lock()
		have, fenced, changed := p.durable.TX, p.fenced, p.changed
		p.mu.Unlock()
		switch {
		case have >= want:
			return nil
		case fenced:
			return fmt.Errorf("sync %s: %w: transactions %d to %d may be lost", p.cfg.Path, pluginapi.ErrFenced, have+1, want)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("sync %s: %w", p.cfg.Path, ctx.Err())
		}
	}
}

// PrimaryStats is what is known of a primary.
type PrimaryStats struct {
	Durable flow.Position // the feed has it up to there
	Emitted uint64        // last transaction that was taken out of the database
	Bytes   uint64        // of the changes up to there, as they are sent and stored
	Capture sqlite.CaptureStats
}

// Stats returns what is known now.
func (p *Primary) Stats() PrimaryStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PrimaryStats{p.durable, p.emitted, p.bytes, p.capture.Stats()}
}
