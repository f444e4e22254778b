package flow

import (
	"fmt"
	"slices"
)

type sending uint8

const (
	idle sending = iota
	onItsWay
	probing
	fenced
)

// Primary is the machine of a leader. It sends one change at a time.
type Primary struct {
	epoch    uint64
	epochSeq uint64
	seq      uint64 // of the stream's last change
	durable  Position
	captured Position
	state    sending
	queue    []Change // the first is on its way unless idle
	bytes    int
	most     int
	holding  bool
}

// DefaultQueue is how many bytes of changes may wait until the capture is held.
const DefaultQueue = 8 << 20

// NewPrimary returns the machine of a leader whose epoch is the stream's, by
// the message at epochSeq. The database stands at position, which is where the
// stream ends, with its last message at seq (0: it is empty). queue is how many
// bytes of changes may wait; 0 means [DefaultQueue].
func NewPrimary(epoch, epochSeq uint64, position Position, seq uint64, queue int) *Primary {
	if queue <= 0 {
		queue = DefaultQueue
	}
	return &Primary{epoch: epoch, epochSeq: epochSeq, seq: seq, durable: position, captured: position, most: queue}
}

// Step tells the machine one thing and returns what it wants done. An input
// that does not belong to the present state is answered by nothing: it is late.
func (p *Primary) Step(in Input) []Effect {
	if p.state == fenced {
		return nil
	}
	switch in := in.(type) {
	case Captured:
		return p.capture(in.Change)
	case Stored:
		if p.state == onItsWay && in.Seq > p.seq {
			return p.stored(in.Seq)
		}
	case Refused, Unknown:
		if p.state == onItsWay {
			p.state = probing
			return []Effect{Probe{}}
		}
	case Unreadable:
		if p.state == probing {
			return []Effect{Probe{}}
		}
	case Found:
		if p.state == probing {
			return p.found(in)
		}
	}
	return nil
}

// capture takes a change that must lead on from the last one.
func (p *Primary) capture(c Change) []Effect {
	if c.Epoch != p.epoch || c.First != p.captured.TX+1 || c.Last < c.First || c.Pre != p.captured.Sum {
		panic(fmt.Sprintf("flow: change %+v does not lead on from %+v of epoch %d", c, p.captured, p.epoch))
	}
	p.captured = c.end()
	p.queue, p.bytes = append(p.queue, c), p.bytes+c.Bytes
	return append(p.hold(), p.next()...)
}

// hold tells the capture to wait when too much waits already, and to go on when
// half of that has gone.
func (p *Primary) hold() []Effect {
	switch {
	case !p.holding && p.bytes > p.most:
		p.holding = true
	case p.holding && p.bytes <= p.most/2:
		p.holding = false
	default:
		return nil
	}
	return []Effect{Hold{p.holding}}
}

// next sends the first change that waits.
func (p *Primary) next() []Effect {
	if p.state != idle || len(p.queue) == 0 {
		return nil
	}
	p.state = onItsWay
	return []Effect{Send{p.queue[0], p.epochSeq, p.seq}}
}

func (p *Primary) stored(seq uint64) []Effect {
	done := p.queue[0]
	p.queue, p.bytes = slices.Delete(p.queue, 0, 1), p.bytes-done.Bytes
	p.state, p.seq, p.durable = idle, seq, done.end()
	return append(append([]Effect{Durable{p.durable, seq}}, p.hold()...), p.next()...)
}

// found compares the stream with the change whose fate is open.
func (p *Primary) found(in Found) []Effect {
	open := p.queue[0]
	switch {
	case in.Epoch > p.epoch:
		return p.fence(in.Epoch)
	case in.Epoch < p.epoch || in.Seq < p.seq:
		return []Effect{Probe{}} // an answer older than what is known
	case in.EpochSeq != p.epochSeq:
		return p.fence(0)
	case in.Seq > p.seq && in.Last.end() == open.end() && in.Last.First == open.First && in.Last.Pre == open.Pre:
		return p.stored(in.Seq)
	case in.Seq == p.seq:
		p.state = idle
		return p.next()
	}
	return p.fence(0)
}

// fence ends it for good: of what comes later nothing counts.
func (p *Primary) fence(by uint64) []Effect {
	p.state = fenced
	return []Effect{Fenced{by}}
}

// AtRisk is what a loss of this machine would lose: the transactions that the
// stream does not have for certain, and the bytes of their messages.
func (p *Primary) AtRisk() (transactions uint64, bytes int) {
	return p.captured.TX - p.durable.TX, p.bytes
}

// Durable is up to where the database is in the stream for certain.
func (p *Primary) Durable() Position { return p.durable }
