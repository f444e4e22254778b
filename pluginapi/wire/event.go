package wire

import (
	"maps"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Event is a hook event as a message. Of the times of its member it keeps whole
// milliseconds; the zero time and the first moment of 1970 are the same.
type Event struct {
	pluginapi.HookEvent
}

// Append encodes the event.
func (m *Event) Append(dst []byte) []byte {
	dst = putText(dst, 1, m.ID)
	dst = putText(dst, 2, string(m.Kind))
	dst = putText(dst, 3, m.Platform)
	dst = putText(dst, 4, m.Node)
	dst = putText(dst, 5, m.App)
	dst = putUint(dst, 6, m.Epoch)
	dst = putInt(dst, 7, m.Attempt)
	dst = putInt(dst, 8, m.Time)
	dst = putText(dst, 9, m.Leader)
	if m.Member != nil {
		var at int
		dst, at = open(dst, 10)
		dst = shut(appendMember(dst, m.Member), at)
	}
	dst = putText(dst, 11, m.Check)
	dst = putText(dst, 12, m.Status)
	dst = putInts(dst, 13, m.Partitions)
	dst = putText(dst, 14, m.From)
	dst = putText(dst, 15, m.To)
	return putText(dst, 16, m.Reason)
}

// Decode is the reverse of Append. It uses the memory of m.Member again.
func (m *Event) Decode(b []byte) error {
	old := m.Member
	m.HookEvent = pluginapi.HookEvent{Partitions: m.Partitions[:0]}
	c := over(b)
	for c.next() {
		switch c.field {
		case 1:
			c.text(&m.ID)
		case 2:
			c.text((*string)(&m.Kind))
		case 3:
			c.text(&m.Platform)
		case 4:
			c.text(&m.Node)
		case 5:
			c.text(&m.App)
		case 6:
			c.uint(&m.Epoch)
		case 7:
			c.int(&m.Attempt)
		case 8:
			c.int(&m.Time)
		case 9:
			c.text(&m.Leader)
		case 10:
			m.decodeMember(&c, old)
		default:
			m.decodeDetail(&c)
		}
	}
	return c.err()
}

// decodeDetail reads the fields that only some kinds of events have.
func (m *Event) decodeDetail(c *cursor) {
	switch c.field {
	case 11:
		c.text(&m.Check)
	case 12:
		c.text(&m.Status)
	case 13:
		c.ints(&m.Partitions)
	case 14:
		c.text(&m.From)
	case 15:
		c.text(&m.To)
	case 16:
		c.text(&m.Reason)
	default:
		c.skip()
	}
}

// decodeMember reads the member. When there are several they are merged, as
// protobuf does with a submessage that is there twice.
func (m *Event) decodeMember(c *cursor, old *pluginapi.Member) {
	if c.kind != kindLen {
		c.skip()
		return
	}
	if m.Member == nil {
		if old == nil {
			old = new(pluginapi.Member)
		}
		clear(old.Labels)
		*old = pluginapi.Member{Labels: old.Labels, Apps: old.Apps[:0]}
		m.Member = old
	}
	end := c.enter()
	c.member(m.Member)
	c.leave(end)
}

func appendMember(dst []byte, m *pluginapi.Member) []byte {
	dst = putText(dst, 1, m.NodeID)
	dst = putText(dst, 2, m.Platform)
	dst = putText(dst, 3, m.Address)
	if len(m.Labels) > 0 {
		for _, k := range slices.Sorted(maps.Keys(m.Labels)) {
			dst = putPair(dst, 4, k, m.Labels[k])
		}
	}
	dst = putTime(dst, 5, m.JoinedAt)
	dst = putTime(dst, 6, m.LastSeen)
	dst = putTexts(dst, 7, m.Apps)
	return putBool(dst, 8, m.IsHealthy)
}

func (c *cursor) member(m *pluginapi.Member) {
	for c.next() {
		switch c.field {
		case 1:
			c.text(&m.NodeID)
		case 2:
			c.text(&m.Platform)
		case 3:
			c.text(&m.Address)
		case 4:
			c.mapped(&m.Labels)
		case 5:
			c.time(&m.JoinedAt)
		case 6:
			c.time(&m.LastSeen)
		case 7:
			c.texts(&m.Apps)
		case 8:
			c.bool(&m.IsHealthy)
		default:
			c.skip()
		}
	}
}

// mapped reads one entry of a map; of two with one key the last one counts.
func (c *cursor) mapped(p *map[string]string) {
	if c.kind != kindLen {
		c.skip()
		return
	}
	var k, v string
	c.pair(&k, &v)
	if *p == nil {
		*p = make(map[string]string)
	}
	(*p)[k] = v
}

func putTime(dst []byte, field int, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	return putInt(dst, field, t.UnixMilli())
}

func (c *cursor) time(p *time.Time) {
	if c.kind != kindVarint {
		c.skip()
		return
	}
	*p = time.Time{}
	if ms := int64(c.varint()); ms != 0 {
		*p = time.UnixMilli(ms).UTC()
	}
}
