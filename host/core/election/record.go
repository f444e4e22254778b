package election

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Holder is a node in one of its lives. The zero Holder is nobody.
type Holder struct {
	Node string `json:"node,omitempty"`
	Inc  uint64 `json:"inc,omitempty"` // incarnation: rises each time the node begins a new session
}

// States of a session record.
const (
	StateLive     = "live"
	StateReleased = "released" // given back by its node or its node's guard
	StateRevoked  = "revoked"  // taken away by an observer after silence
)

// SessionRecord is the stored form of a node's session.
type SessionRecord struct {
	Node  string `json:"node"`
	Inc   uint64 `json:"inc"`
	N     uint64 `json:"n"` // counts the writes of one incarnation, so that a node can recognise each of them
	TTLms int64  `json:"ttl_ms"`
	State string `json:"state"`
	By    string `json:"by,omitempty"`   // who ended it
	Home  string `json:"home,omitempty"` // what cannot be alive twice: a locked data directory, or one process
}

// Holder returns the node and incarnation that the record speaks of.
func (r SessionRecord) Holder() Holder { return Holder{r.Node, r.Inc} }

// TTL returns the time for which one renewal keeps the session.
func (r SessionRecord) TTL() time.Duration { return time.Duration(r.TTLms) * time.Millisecond }

// Ended reports whether the incarnation of the record is over for good.
func (r SessionRecord) Ended() bool { return r.State != StateLive }

// Bounds of what a store may say.
const (
	maxRecord = 64 << 10
	minTTL    = 100 * time.Millisecond
	maxTTL    = time.Hour
	maxText   = 255
	maxNumber = 1 << 62 // of an epoch or an incarnation, so that there is always a next one
)

// DecodeSession reads a session record and refuses what no node would have
// written.
func DecodeSession(node string, value []byte) (SessionRecord, error) {
	var r SessionRecord
	if err := decode(value, &r); err != nil {
		return r, fmt.Errorf("decode session of %s: %w", node, err)
	}
	if err := pluginapi.CheckName("node", node); err != nil {
		return r, fmt.Errorf("decode session: %w", err)
	}
	switch {
	case r.Node != node:
		return r, fmt.Errorf("decode session of %s: it is of node %.70q", node, r.Node)
	case r.Inc == 0 || r.Inc > maxNumber || r.N > maxNumber:
		return r, fmt.Errorf("decode session of %s: incarnation %d, write %d is out of range", node, r.Inc, r.N)
	case len(r.By) > maxText || len(r.Home) > maxText:
		return r, fmt.Errorf("decode session of %s: by or home is longer than %d bytes", node, maxText)
	case r.TTLms < minTTL.Milliseconds() || r.TTLms > maxTTL.Milliseconds():
		return r, fmt.Errorf("decode session of %s: ttl %d ms is out of range", node, r.TTLms)
	case r.State != StateLive && r.State != StateReleased && r.State != StateRevoked:
		return r, fmt.Errorf("decode session of %s: unknown state %.20q", node, r.State)
	}
	return r, nil
}

// OwnerRecord is the stored form of an ownership.
type OwnerRecord struct {
	Holder Holder          `json:"holder"`
	Epoch  pluginapi.Epoch `json:"epoch"`
	From   string          `json:"from,omitempty"`   // node that handed it over
	Reason string          `json:"reason,omitempty"` // why the last change was made
}

// DecodeOwner reads an ownership record and refuses what no node would have
// written.
func DecodeOwner(key string, value []byte) (OwnerRecord, error) {
	var r OwnerRecord
	if err := decode(value, &r); err != nil {
		return r, fmt.Errorf("decode owner of %s: %w", key, err)
	}
	if r.Epoch > maxNumber || r.Holder.Inc > maxNumber {
		return r, fmt.Errorf("decode owner of %s: epoch %d, incarnation %d is out of range", key, r.Epoch, r.Holder.Inc)
	}
	if (r.Holder.Node == "") != (r.Holder.Inc == 0) {
		return r, fmt.Errorf("decode owner of %s: holder %+v is half there", key, r.Holder)
	}
	if r.Holder.Node != "" {
		if err := pluginapi.CheckName("holder", r.Holder.Node); err != nil {
			return r, fmt.Errorf("decode owner of %s: %w", key, err)
		}
		if r.Epoch == 0 {
			return r, fmt.Errorf("decode owner of %s: a holder without an epoch", key)
		}
	}
	return r, nil
}

func decode(value []byte, into any) error {
	if len(value) > maxRecord {
		return fmt.Errorf("%d bytes are more than a record may have", len(value))
	}
	return json.Unmarshal(value, into)
}

// Encode returns the stored form of a record.
func Encode(record any) []byte {
	b, err := json.Marshal(record)
	if err != nil {
		panic(err) // records are made of strings and numbers only
	}
	return b
}
