package lock

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Bounds of a record.
const (
	MaxShared = 1000 // holders of a semaphore or a read lock
	MaxQueue  = 1000 // who wait
	maxRecord = 500 << 10
	maxNumber = 1 << 62 // of an epoch or an incarnation, so that there is always a next one
)

// Claim is one ticket in a record.
type Claim struct {
	election.Holder
	Ticket uint64          `json:"ticket"` // unique in the incarnation
	Shared bool            `json:"shared,omitempty"`
	Epoch  pluginapi.Epoch `json:"epoch,omitempty"` // of a holder; 0: it waits
}

// Record is the stored form of a lock.
type Record struct {
	Epoch   pluginapi.Epoch `json:"epoch"`           // the highest that was ever given
	Limit   int             `json:"limit,omitempty"` // how many may share it; 0: it is exclusive
	Holders []Claim         `json:"holders,omitempty"`
	Queue   []Claim         `json:"queue,omitempty"` // oldest first
}

// Decode reads a record and refuses what no node would have written.
func Decode(key string, value []byte) (Record, error) {
	var r Record
	if len(value) > maxRecord {
		return r, fmt.Errorf("decode lock %s: %d bytes are more than a record may have", key, len(value))
	}
	if err := json.Unmarshal(value, &r); err != nil {
		return r, fmt.Errorf("decode lock %s: %w", key, err)
	}
	if err := r.check(); err != nil {
		return Record{}, fmt.Errorf("decode lock %s: %w", key, err)
	}
	return r, nil
}

func (r Record) check() error {
	if r.Epoch > maxNumber || r.Limit < 0 || r.Limit > MaxShared || len(r.Queue) > MaxQueue {
		return fmt.Errorf("epoch %d, limit %d or %d in the queue is out of range", r.Epoch, r.Limit, len(r.Queue))
	}
	exclusive := 0
	for i, c := range slices.Concat(r.Holders, r.Queue) {
		if err := pluginapi.CheckName("node", c.Node); err != nil {
			return err
		}
		holds := i < len(r.Holders)
		switch {
		case c.Inc == 0 || c.Inc > maxNumber || c.Ticket == 0:
			return fmt.Errorf("claim of %s: incarnation %d or ticket %d is out of range", c.Node, c.Inc, c.Ticket)
		case c.Shared && r.Limit == 0:
			return fmt.Errorf("claim of %s: it shares what is exclusive", c.Node)
		case holds && (c.Epoch == 0 || c.Epoch > r.Epoch), !holds && c.Epoch != 0:
			return fmt.Errorf("claim of %s: epoch %d is out of range", c.Node, c.Epoch)
		case holds && !c.Shared:
			exclusive++
		}
	}
	if n := len(r.Holders); n > max(1, r.Limit) || exclusive > 0 && n > 1 {
		return fmt.Errorf("%d holders, %d of them exclusive: they exclude each other", n, exclusive)
	}
	return nil
}

// Encode returns the stored form.
func (r Record) Encode() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // records are made of strings and numbers only
	}
	return b
}

func (r Record) clone() Record {
	r.Holders, r.Queue = slices.Clone(r.Holders), slices.Clone(r.Queue)
	return r
}

func (r Record) equal(o Record) bool {
	return r.Epoch == o.Epoch && r.Limit == o.Limit && slices.Equal(r.Holders, o.Holders) && slices.Equal(r.Queue, o.Queue)
}

// idle reports whether nobody holds it or waits for it.
func (r Record) idle() bool { return len(r.Holders)+len(r.Queue) == 0 }

// names reports whether a ticket has a claim.
func (r Record) names(h election.Holder, ticket uint64) bool {
	is := func(c Claim) bool { return c.Holder == h && c.Ticket == ticket }
	return slices.ContainsFunc(r.Holders, is) || slices.ContainsFunc(r.Queue, is)
}

// drop takes claims out.
func (r *Record) drop(gone func(Claim) bool) {
	r.Holders = slices.DeleteFunc(r.Holders, gone)
	r.Queue = slices.DeleteFunc(r.Queue, gone)
}

// grant lets in who may come in, from the front of the queue, each in an epoch
// above all earlier ones and above floor.
func (r *Record) grant(floor pluginapi.Epoch) {
	for len(r.Queue) > 0 && r.admits(r.Queue[0]) {
		c := r.Queue[0]
		r.Epoch = max(r.Epoch, floor) + 1
		c.Epoch = r.Epoch
		r.Holders, r.Queue = append(r.Holders, c), r.Queue[1:]
	}
}

func (r *Record) admits(c Claim) bool {
	if !c.Shared {
		return len(r.Holders) == 0
	}
	return len(r.Holders) < r.Limit && !slices.ContainsFunc(r.Holders, func(h Claim) bool { return !h.Shared })
}
