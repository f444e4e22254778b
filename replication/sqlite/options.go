package sqlite

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/page"
)

// CaptureOptions are what a Capture can be told. The zero value of each field
// stands for its default.
type CaptureOptions struct {
	// Convert brings a database that is not in WAL mode into it, if nobody else
	// uses it at that moment. Otherwise it is refused with ErrNotWAL.
	Convert bool
	// MaxBatch is how many bytes of pages one Change has, at most (default
	// 2 MiB); many small transactions become one Change up to there.
	MaxBatch int
	// Checkpoint is the growth of the log, in bytes, after which it is copied
	// into the database file (default 4 MiB).
	Checkpoint int64
	// Ceiling is the size of the log in bytes (default 256 MiB) above which the
	// capture lets go of it when its consumer is too slow: the owner's own
	// checkpoints work again, and what was missed comes as one difference of
	// pages. While a difference is given out the log may grow up to the size of
	// the database.
	Ceiling int64
	// SealLimit is how long writers are held off for a checkpoint, at most
	// (default 80 ms). Above the ceiling it does not count.
	SealLimit time.Duration
	// Logger is told of what an operator should know (default: none).
	Logger *slog.Logger
}

func (o *CaptureOptions) complete() error {
	if o.MaxBatch < 0 || o.Checkpoint < 0 || o.Ceiling < 0 || o.SealLimit < 0 {
		return fmt.Errorf("%w: capture options: no limit is negative", pluginapi.ErrInvalid)
	}
	if o.MaxBatch == 0 {
		o.MaxBatch = 2 << 20
	}
	o.MaxBatch = max(o.MaxBatch, page.MaxSize)
	if o.Checkpoint == 0 {
		o.Checkpoint = 4 << 20
	}
	if o.Ceiling == 0 {
		o.Ceiling = 256 << 20
	}
	if o.SealLimit == 0 {
		o.SealLimit = 80 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
