package wire

import "github.com/ozanturksever/go-cluster/pluginapi"

// Append encodes the table, or the difference.
func (m *Candidates) Append(dst []byte) []byte {
	dst = putUint(dst, 1, m.Base)
	dst = putUint(dst, 2, m.Epoch)
	for i := range m.Upserts {
		var at int
		dst, at = open(dst, 3)
		dst = shut(appendCandidate(dst, &m.Upserts[i]), at)
	}
	return putTexts(dst, 4, m.Removed)
}

// Decode is the reverse of Append.
func (m *Candidates) Decode(b []byte) error {
	*m = Candidates{Upserts: m.Upserts[:0], Removed: m.Removed[:0]}
	c := over(b)
	for c.next() {
		switch c.field {
		case 1:
			c.uint(&m.Base)
		case 2:
			c.uint(&m.Epoch)
		case 3:
			if c.kind != kindLen {
				c.skip()
				continue
			}
			end := c.enter()
			c.candidate(another(&m.Upserts))
			c.leave(end)
		case 4:
			c.texts(&m.Removed)
		default:
			c.skip()
		}
	}
	return c.err()
}

func appendCandidate(dst []byte, m *pluginapi.Candidate) []byte {
	dst = putText(dst, 1, m.Node)
	dst = putLabels(dst, 2, m.Labels)
	dst = putTexts(dst, 3, m.Apps)
	dst = putInt(dst, 4, m.Leads)
	dst = putInt(dst, 5, m.Cores)
	dst = putInt(dst, 6, m.Memory)
	dst = putInt(dst, 7, m.Load)
	dst = putInt(dst, 8, m.MemFree)
	dst = putInt(dst, 9, m.Joined)
	dst = putBool(dst, 10, m.Cordoned)
	return putBool(dst, 11, m.Healthy)
}

func (c *cursor) candidate(m *pluginapi.Candidate) {
	*m = pluginapi.Candidate{Labels: m.Labels[:0], Apps: m.Apps[:0]}
	for c.next() {
		switch c.field {
		case 1:
			c.text(&m.Node)
		case 2:
			c.labels(&m.Labels)
		case 3:
			c.texts(&m.Apps)
		case 4:
			c.int(&m.Leads)
		case 5:
			c.int(&m.Cores)
		case 6:
			c.int(&m.Memory)
		case 7:
			c.int(&m.Load)
		case 8:
			c.int(&m.MemFree)
		case 9:
			c.int(&m.Joined)
		case 10:
			c.bool(&m.Cordoned)
		case 11:
			c.bool(&m.Healthy)
		default:
			c.skip()
		}
	}
}

func putLabels(dst []byte, field int, list []pluginapi.Label) []byte {
	for i := range list {
		dst = putPair(dst, field, list[i].Key, list[i].Value)
	}
	return dst
}

// labels reads one label of a list.
func (c *cursor) labels(p *[]pluginapi.Label) {
	if c.kind != kindLen {
		c.skip()
		return
	}
	l := another(p)
	c.pair(&l.Key, &l.Value)
}

// putPair appends a submessage of two strings: labels, headers, fences.
func putPair(dst []byte, field int, a, b string) []byte {
	dst, at := open(dst, field)
	return shut(putText(putText(dst, 1, a), 2, b), at)
}

func (c *cursor) pair(p, q *string) {
	*p, *q = "", ""
	end := c.enter()
	for c.next() {
		switch c.field {
		case 1:
			c.text(p)
		case 2:
			c.text(q)
		default:
			c.skip()
		}
	}
	c.leave(end)
}

// Append encodes the question.
func (m *Rank) Append(dst []byte) []byte {
	dst = putUint(dst, 1, m.Epoch)
	for i := range m.Apps {
		var at int
		dst, at = open(dst, 2)
		dst = shut(appendApp(dst, &m.Apps[i]), at)
	}
	return dst
}

// Decode is the reverse of Append.
func (m *Rank) Decode(b []byte) error {
	*m = Rank{Apps: m.Apps[:0]}
	c := over(b)
	for c.next() {
		switch {
		case c.field == 1:
			c.uint(&m.Epoch)
		case c.field == 2 && c.kind == kindLen:
			end := c.enter()
			c.app(another(&m.Apps))
			c.leave(end)
		default:
			c.skip()
		}
	}
	return c.err()
}

func appendApp(dst []byte, m *pluginapi.AppSpec) []byte {
	dst = putText(dst, 1, m.Name)
	dst = putText(dst, 2, m.Mode)
	dst = putLabels(dst, 3, m.Requires)
	dst = putLabels(dst, 4, m.Prefers)
	dst = putLabels(dst, 5, m.Avoids)
	dst = putInt(dst, 6, m.CPU)
	dst = putInt(dst, 7, m.Memory)
	dst = putInt(dst, 8, m.Weight)
	return putText(dst, 9, m.Leader)
}

func (c *cursor) app(m *pluginapi.AppSpec) {
	*m = pluginapi.AppSpec{Requires: m.Requires[:0], Prefers: m.Prefers[:0], Avoids: m.Avoids[:0]}
	for c.next() {
		switch c.field {
		case 1:
			c.text(&m.Name)
		case 2:
			c.text(&m.Mode)
		case 3:
			c.labels(&m.Requires)
		case 4:
			c.labels(&m.Prefers)
		case 5:
			c.labels(&m.Avoids)
		case 6:
			c.int(&m.CPU)
		case 7:
			c.int(&m.Memory)
		case 8:
			c.int(&m.Weight)
		case 9:
			c.text(&m.Leader)
		default:
			c.skip()
		}
	}
}

// Append encodes the scores.
func (m *Ranking) Append(dst []byte) []byte { return putSints(dst, 1, m.Scores) }

// Decode is the reverse of Append.
func (m *Ranking) Decode(b []byte) error {
	m.Scores = m.Scores[:0]
	c := over(b)
	for c.next() {
		if c.field == 1 {
			c.sints(&m.Scores)
		} else {
			c.skip()
		}
	}
	return c.err()
}
