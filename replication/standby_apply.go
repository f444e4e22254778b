package replication

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/flow"
	"github.com/ozanturksever/go-cluster/replication/page"
	"github.com/ozanturksever/go-cluster/replication/segment"
	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// apply puts a change into the copy, all of its parts in one transaction. A
// change that does not belong there is told to the machine; an error is what
// may pass, such as a full disk.
func (s *Standby) apply(ctx context.Context, parts []segment.Segment) (flow.Input, error) {
	err := s.applyParts(ctx, parts)
	if err == nil {
		s.note(func() { s.stats.Changes++ })
		return flow.Applied{}, nil
	}
	s.cache = newCache() // what was put there by the parts before is not in the copy
	for _, wrong := range []error{sqlite.ErrDiverged, sqlite.ErrWritten, sqlite.ErrDamaged, segment.ErrCorrupt, pluginapi.ErrKeyNotFound} {
		if errors.Is(err, wrong) {
			s.cfg.Logger.Warn("apply change", "change", parts[0].Header.String(), "err", err)
			return flow.Failed{Reason: err.Error()}, nil
		}
	}
	return nil, err
}

func (s *Standby) applyParts(ctx context.Context, parts []segment.Segment) error {
	h := parts[0].Header
	n, fed := len(parts), 0
	if len(parts[0].Chunks) > 0 {
		n = len(parts[0].Chunks)
	}
	if h.Commit < s.commit {
		s.cache.truncate(h.Commit)
	}
	for i := range n {
		part := parts[min(i, len(parts)-1)]
		if len(parts[0].Chunks) > 0 {
			var err error
			if part, err = s.chunk(ctx, h, parts[0].Chunks[i]); err != nil {
				return err
			}
		}
		if err := s.applyPart(ctx, part, h, fed, i < n-1); err != nil {
			return err
		}
		fed++
	}
	s.commit = h.Commit
	return nil
}

// chunk fetches a part that is stored, and compares what there is to compare.
func (s *Standby) chunk(ctx context.Context, h segment.Header, c segment.Chunk) (segment.Segment, error) {
	data, err := s.cfg.Chunks.Get(ctx, c.Digest)
	if err != nil {
		return segment.Segment{}, err
	}
	if len(data) != c.Size || sha256.Sum256(data) != c.Digest {
		return segment.Segment{}, fmt.Errorf("chunk %x: %w", c.Digest[:8], segment.ErrCorrupt)
	}
	part, err := segment.Decode(data)
	if err == nil && changeOf(part.Header) != changeOf(h) {
		err = fmt.Errorf("chunk %x belongs to %v: %w", c.Digest[:8], part.Header, segment.ErrCorrupt)
	}
	return part, err
}

// applyPart hands one part to SQLite.
func (s *Standby) applyPart(ctx context.Context, part segment.Segment, h segment.Header, number int, more bool) error {
	change := sqlite.Change{
		Part: number, More: more, PageSize: h.PageSize, Commit: h.Commit,
		TX: h.Last - h.First + 1, Pre: h.Pre, Post: h.Post,
	}
	var missing error
	before := func(n uint32) []byte {
		if p := s.cache.get(n); p != nil {
			return p
		}
		p, err := s.applier.Page(ctx, n)
		if err != nil {
			missing = err
		}
		return p
	}
	err := part.Each(before, func(p page.Page) error {
		change.Pages = append(change.Pages, page.Page{Number: p.Number, Data: bytes.Clone(p.Data)})
		return nil
	})
	if missing != nil {
		return missing
	}
	if err != nil {
		return err
	}
	if err := s.applier.Apply(ctx, change); err != nil {
		return err
	}
	for _, p := range change.Pages {
		s.cache.put(p)
	}
	return nil
}
