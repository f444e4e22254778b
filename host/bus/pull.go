package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	pullTime = 20 * time.Second // of one pull that finds nothing
	pullBeat = 2 * time.Second  // a pull whose server says nothing for two of these is over
	pullRoom = 64               // for what the server says beside the messages
)

var errSilent = errors.New("the server of the consumer is silent")

// Pull hands on at most n messages, as they come, and returns when it has done
// so, when nothing more has come for a while, or when ctx has ended. fn must not
// block for long.
//
// # Errors
//
// What kept messages from coming: open the consumer again after a pause.
func (c *Consumer) Pull(ctx context.Context, n int, fn func(*Delivery)) error {
	conn := c.l.s.c
	if !conn.Connected() {
		return fmt.Errorf("pull: %w", asRefused(nats.ErrDisconnected))
	}
	question, err := json.Marshal(map[string]any{"batch": n, "expires": pullTime, "idle_heartbeat": pullBeat})
	if err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	inbox := conn.nc.NewInbox()
	in := make(chan *nats.Msg, n+pullRoom)
	sub, err := conn.nc.ChanSubscribe(inbox, in)
	if err != nil {
		return fmt.Errorf("pull: %w", asRefused(err))
	}
	if err = conn.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+c.l.cfg.Stream+"."+c.name, inbox, question); err == nil {
		n, err = c.pulled(ctx, in, n, fn)
	}
	_ = sub.Unsubscribe()             // fails only when the connection is closed
	for ; n > 0 && len(in) > 0; n-- { // came meanwhile
		if d := conn.delivery(<-in); d != nil {
			fn(d)
		}
	}
	if err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	return nil
}

// pulled hands on what comes until the pull is over; left is how many have not
// come.
func (c *Consumer) pulled(ctx context.Context, in <-chan *nats.Msg, n int, fn func(*Delivery)) (left int, err error) {
	silence := time.NewTimer(2 * pullBeat)
	defer silence.Stop()
	for n > 0 {
		select {
		case m := <-in:
			silence.Reset(2 * pullBeat)
			if d := c.l.s.c.delivery(m); d != nil {
				n--
				fn(d)
				continue
			}
			switch status := m.Header.Get("Status"); status {
			case "100": // alive
			case "404", "408": // no more for this pull
				return n, nil
			default:
				return n, fmt.Errorf("%w: %s %s", ErrRefused, status, m.Header.Get("Description"))
			}
		case <-silence.C:
			return n, errSilent
		case <-ctx.Done():
			return n, nil
		}
	}
	return n, nil
}

// Delivery is a message of a consumer that is to be acknowledged.
type Delivery struct {
	Stored
	Tries int // how often it was delivered, with this time
	c     *Conn
	reply string
}

// delivery is nil for what is not a message of a consumer.
func (c *Conn) delivery(m *nats.Msg) *Delivery {
	meta, err := m.Metadata()
	if err != nil {
		return nil
	}
	return &Delivery{
		Stored: Stored{Message{Subject: m.Subject, Header: Header(m.Header), Data: m.Data}, meta.Sequence.Stream, meta.Timestamp},
		Tries:  int(min(meta.NumDelivered, 1<<30)), c: c, reply: m.Reply,
	}
}

// Ack says that the message is dealt with. An error means that it will be
// delivered again.
func (d *Delivery) Ack() error { return d.answer("+ACK") }

// Again asks for the message to be delivered again after a while.
func (d *Delivery) Again(after time.Duration) error {
	if after <= 0 {
		return d.answer("-NAK")
	}
	return d.answer(fmt.Sprintf(`-NAK {"delay": %d}`, after.Nanoseconds()))
}

// Working says that the message is being dealt with: AckWait begins anew.
func (d *Delivery) Working() error { return d.answer("+WPI") }

func (d *Delivery) answer(word string) error {
	if err := d.c.nc.Publish(d.reply, []byte(word)); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	return nil
}
