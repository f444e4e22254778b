package bus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// stream reads one stream, always from the server that leads it: other copies
// may lag. Even so an answer may be old, when the leader has been cut off from
// the rest and does not know it yet.
type stream struct {
	c    *Conn
	name string
}

// streamInfo is what we use of JetStream's description of a stream.
type streamInfo struct {
	reply
	Config  json.RawMessage `json:"config"`
	Created time.Time       `json:"created"`
	State   struct {
		Messages uint64            `json:"messages"`
		Bytes    uint64            `json:"bytes"`
		FirstSeq uint64            `json:"first_seq"`
		LastSeq  uint64            `json:"last_seq"`
		Subjects map[string]uint64 `json:"subjects"`
	} `json:"state"`
	Cluster struct {
		Name     string        `json:"name"`
		Leader   string        `json:"leader"`
		Replicas []replicaInfo `json:"replicas"`
	} `json:"cluster"`
	Total int `json:"total"`
}

// replicaInfo is a copy of a stream as its leader sees it.
type replicaInfo struct {
	Name    string        `json:"name"`
	Current bool          `json:"current"`
	Offline bool          `json:"offline"`
	Active  time.Duration `json:"active"` // since it was last heard; 0 also when it never was
	Lag     uint64        `json:"lag"`
}

// silentAfter is above what heartbeats with stock timers take.
const silentAfter = 3 * time.Second

// silent says whether the leader has heard nothing for some time, or never. A
// server that is killed counts as offline only after minutes.
func (r replicaInfo) silent() bool {
	return r.Offline || r.Active > silentAfter || r.Active == 0 && !r.Current
}

// stored is one message of a stream.
type stored struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Data    []byte    `json:"data"`
	Head    []byte    `json:"hdrs"` // headers as they are on the wire
	Time    time.Time `json:"time"`
}

const (
	listWorkers = 32              // how many reads of one list are on their way at a time
	listTimeout = 2 * time.Second // bounds each of them
)

var (
	errNoLeader = errors.New("the stream has no leader at the moment")
	errMoved    = errors.New("the stream changed its leader meanwhile")
)

func (s stream) info(ctx context.Context) (streamInfo, error) {
	return s.infoOf(ctx, nil)
}

func (s stream) infoOf(ctx context.Context, question any) (streamInfo, error) {
	var in streamInfo
	if err := s.c.api(ctx, "STREAM.INFO."+s.name, question, &in); err != nil {
		return streamInfo{}, err
	}
	if in.Cluster.Leader == "" && in.Cluster.Name != "" {
		return streamInfo{}, asRefused(errNoLeader)
	}
	return in, nil
}

// last reads the newest message of a subject. Seq is 0 when there is none.
func (s stream) last(ctx context.Context, subject string) (stored, error) {
	m, err := s.get(ctx, map[string]any{"last_by_subj": subject})
	if err == nil && m.Seq != 0 && m.Subject != subject {
		return stored{}, asUnknown(fmt.Errorf("asked for %s, got %q", subject, m.Subject))
	}
	return m, err
}

// next reads the first message at or after seq that matches filter. Seq is 0
// when there is none.
func (s stream) next(ctx context.Context, filter string, seq uint64) (stored, error) {
	m, err := s.get(ctx, map[string]any{"next_by_subj": filter, "seq": seq})
	if err == nil && m.Seq != 0 && m.Seq < seq {
		return stored{}, asUnknown(fmt.Errorf("asked for sequence %d or later, got %d", seq, m.Seq))
	}
	return m, err
}

// nextDirect is next from any copy of the stream, which may lag. It is much
// faster for big messages, which come as they are and not as JSON.
func (s stream) nextDirect(ctx context.Context, filter string, seq uint64) (stored, error) {
	question, err := json.Marshal(map[string]any{"next_by_subj": filter, "seq": seq})
	if err != nil {
		return stored{}, fmt.Errorf("encode request: %w", err)
	}
	m, err := s.c.send(ctx, &nats.Msg{Subject: "$JS.API.DIRECT.GET." + s.name, Data: question})
	if err != nil {
		return stored{}, err
	}
	if m.Header.Get("Status") != "" { // 404, and what else has no message
		return stored{}, nil
	}
	at, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil || at < seq {
		return stored{}, asUnknown(fmt.Errorf("asked for sequence %d or later, got %q", seq, m.Header.Get("Nats-Sequence")))
	}
	return stored{Subject: m.Header.Get("Nats-Subject"), Seq: at, Data: m.Data}, nil
}

func (s stream) get(ctx context.Context, question any) (stored, error) {
	var answer struct {
		reply
		Message *stored `json:"message"`
	}
	err := s.c.api(ctx, "STREAM.MSG.GET."+s.name, question, &answer)
	switch {
	case isAPI(err, codeNoMessage):
		return stored{}, nil
	case err != nil:
		return stored{}, err
	case answer.Message == nil || answer.Message.Seq == 0:
		return stored{}, asUnknown(errors.New("answer holds no message"))
	}
	return *answer.Message, nil
}

// put stores one message, by one request, and returns its sequence.
//
// Its error is ErrConflict when a condition of the message does not hold,
// ErrRefused or ErrUnknown.
func (s stream) put(ctx context.Context, msg *nats.Msg) (seq uint64, err error) {
	m, err := s.c.send(ctx, msg)
	if err != nil {
		return 0, err
	}
	var ack struct {
		reply
		Stream string `json:"stream"`
		Seq    uint64 `json:"seq"`
	}
	err = decode(m.Data, &ack)
	switch {
	case isAPI(err, codeWrongSequence, codeWrongSequence2):
		return 0, fmt.Errorf("%w: %w", ErrConflict, ack.Error)
	case isAPI(err, codeStoreFailed):
		return 0, asUnknown(ack.Error)
	case err != nil:
		return 0, err
	case ack.Stream != s.name || ack.Seq == 0:
		return 0, asUnknown(fmt.Errorf("answer of stream %q with sequence %d", ack.Stream, ack.Seq))
	}
	return ack.Seq, nil
}

// subjects lists the subjects that match filter and have a message, and the
// state of the stream right before.
func (s stream) subjects(ctx context.Context, filter string) ([]string, streamInfo, error) {
	var first streamInfo
	var out []string
	for {
		in, err := s.infoOf(ctx, map[string]any{"subjects_filter": filter, "offset": len(out)})
		if err != nil {
			return nil, streamInfo{}, err
		}
		if len(out) == 0 {
			first = in
		}
		for subject := range in.State.Subjects {
			out = append(out, subject)
		}
		if len(in.State.Subjects) == 0 || len(out) >= in.Total {
			slices.Sort(out) // pages may overlap when subjects are added meanwhile
			return slices.Compact(out), first, nil
		}
	}
}

// list reads the newest message of each subject that matches filter, in the
// order of the stream. Everything up to the returned state's LastSeq is in it.
// It uses no consumer: that may live on a copy that lags, or dies.
func (s stream) list(ctx context.Context, filter string) ([]stored, streamInfo, error) {
	subjects, before, err := s.subjects(ctx, filter)
	if err != nil {
		return nil, streamInfo{}, err
	}
	out := make([]stored, len(subjects))
	err = each(ctx, len(subjects), func(ctx context.Context, i int) (err error) {
		ctx, cancel := context.WithTimeout(ctx, listTimeout)
		defer cancel()
		if out[i], err = s.last(ctx, subjects[i]); err == nil && out[i].Seq == 0 {
			err = asRefused(fmt.Errorf("%s was there and is gone: %w", subjects[i], errMoved))
		}
		return err
	})
	if err != nil {
		return nil, streamInfo{}, err
	}
	if len(subjects) > 0 {
		after, err := s.info(ctx)
		if err != nil {
			return nil, streamInfo{}, err
		}
		if after.Cluster.Leader != before.Cluster.Leader || after.State.LastSeq < before.State.LastSeq {
			return nil, streamInfo{}, asRefused(errMoved)
		}
	}
	slices.SortFunc(out, func(a, b stored) int { return cmp.Compare(a.Seq, b.Seq) })
	return out, before, nil
}

// each calls do for 0 to n-1, some at a time, and waits for all. The first
// error ends it.
func each(ctx context.Context, n int, do func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan int)
	var wg sync.WaitGroup
	for range min(n, listWorkers) {
		wg.Go(func() {
			for i := range todo {
				if err := do(ctx, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case todo <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(todo)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return nil
}
