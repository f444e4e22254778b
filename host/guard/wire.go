package guard

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

const (
	version  = 1       // of the messages; both ends must have the same
	maxFrame = 1 << 20 // longest body of a message, in bytes
	maxReply = 3 << 10 // longest error text; a whole reply is then written in one piece
)

// Kinds of message. The first four go from the host to the watchman.
const (
	kindHello    = "hello"    // also the reply to it
	kindFences   = "fences"   // the whole set
	kindLease    = "lease"    // at each acknowledged renewal
	kindReleased = "released" // the host gave its session back itself
	kindAck      = "ack"      // the fences of that id are known, or refused
	kindFired    = "fired"
)

// message is one message of either direction: a big-endian uint32 length and
// this as JSON.
type message struct {
	Kind    string            `json:"kind"`
	Version int               `json:"version,omitempty"` // of hello
	ID      uint64            `json:"id,omitempty"`      // of fences and its ack
	Init    *Init             `json:"init,omitempty"`
	Fences  []pluginapi.Fence `json:"fences,omitempty"`
	Lease   *Lease            `json:"lease,omitempty"`
	Fired   *Fired            `json:"fired,omitempty"`
	Error   string            `json:"error,omitempty"` // of hello and ack: why not
	Ended   bool              `json:"ended,omitempty"` // of ack: refused with ErrFired
}

func encode(m message) ([]byte, error) {
	if len(m.Error) > maxReply {
		m.Error = m.Error[:maxReply]
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode guard message: %w", err)
	}
	if len(body) > maxFrame {
		return nil, fmt.Errorf("%w: guard message %s has %d bytes: the most is %d", pluginapi.ErrInvalid, m.Kind, len(body), maxFrame)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...), nil
}

// decoder cuts a stream of bytes into messages.
type decoder struct{ buf []byte }

func (d *decoder) feed(p []byte) { d.buf = append(d.buf, p...) }

// next returns the next whole message; ok is false when more bytes are needed.
// After an error the stream makes no sense any more.
func (d *decoder) next() (m message, ok bool, err error) {
	if len(d.buf) < 4 {
		return m, false, nil
	}
	announced := binary.BigEndian.Uint32(d.buf)
	if announced > maxFrame {
		return m, false, fmt.Errorf("read guard message: %d bytes announced, the most is %d", announced, maxFrame)
	}
	n := int(announced)
	if len(d.buf) < 4+n {
		return m, false, nil
	}
	if err := json.Unmarshal(d.buf[4:4+n], &m); err != nil {
		return message{}, false, fmt.Errorf("read guard message: %w", err)
	}
	d.buf = d.buf[4+n:]
	if len(d.buf) == 0 {
		d.buf = nil
	}
	return m, true, nil
}
