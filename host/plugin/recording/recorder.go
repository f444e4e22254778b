package recording

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Question is one line of a recording.
type Question struct {
	Time  int64               `json:"time_ms"`         // milliseconds since 1970
	Table *pluginapi.Table    `json:"table,omitempty"` // nil: that of the line before
	Apps  []pluginapi.AppSpec `json:"apps"`
}

// DefaultMax is how many bytes a recorder writes unless it is told otherwise.
const DefaultMax = 256 << 20

// Recorder writes a recording. It is safe for concurrent use.
type Recorder struct {
	mu    sync.Mutex
	w     io.Writer
	left  int64
	table *pluginapi.Table
	err   error
}

// NewRecorder writes to w, at most max bytes; 0: DefaultMax.
func NewRecorder(w io.Writer, max int64) *Recorder {
	if max <= 0 {
		max = DefaultMax
	}
	return &Recorder{w: w, left: max}
}

// Asked writes down what a policy is asked. A table is written once for all
// questions in a row that are asked of it. After an error nothing is written any
// more: the rest would be read against the wrong table.
//
// # Errors
//
// ErrTooLarge when there is no room for it; that of the writer. The first one is
// also that of all further calls.
func (r *Recorder) Asked(now time.Time, table *pluginapi.Table, apps ...pluginapi.AppSpec) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	q := Question{Time: now.UnixMilli(), Apps: apps}
	if table != r.table {
		q.Table = table
	}
	line, err := json.Marshal(q)
	line = append(line, '\n')
	switch {
	case err != nil:
	case int64(len(line)) > min(r.left, maxLine):
		err = fmt.Errorf("%w: the recording is full", pluginapi.ErrTooLarge)
	default:
		_, err = r.w.Write(line)
	}
	if err != nil {
		r.err = fmt.Errorf("record ranking: %w", err)
		return r.err
	}
	r.left -= int64(len(line))
	r.table = table
	return nil
}

// Err is the error after which nothing was recorded any more, or nil.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Policy is a policy whose questions are recorded. That they cannot be recorded
// changes nothing for who asks; see Err.
func (r *Recorder) Policy(p pluginapi.Policy) pluginapi.Policy { return recorded{r, p} }

type recorded struct {
	r *Recorder
	p pluginapi.Policy
}

// Rank records and ranks.
func (p recorded) Rank(ctx context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
	_ = p.r.Asked(time.Now(), table, app) // kept in Err
	return p.p.Rank(ctx, app, table)
}
