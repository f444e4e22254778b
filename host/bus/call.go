package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// DefaultTimeout bounds a request whose context has no deadline.
const DefaultTimeout = 5 * time.Second

var (
	errLost         = errors.New("the connection was lost before the answer came")
	errNotConnected = errors.New("not connected to NATS")
)

// answered is how a request has ended.
type answered struct {
	m   Message
	err error
}

// asking waits for the answer to one request.
type asking chan answered

// Answered implements Asker.
func (a asking) Answered(m Message, err error) { a <- answered{m, err} }

// send makes one request. It fails at once when the connection is lost or the
// server denies the subject, which nats.go would let run into its timeout. It
// never tries again. Its error is always ErrRefused or ErrUnknown.
func (c *Conn) send(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, asRefused(fmt.Errorf("not sent: %w", timedOut(err)))
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultTimeout)
		defer cancel()
	}
	in := make(asking, 1)
	ticket, err := c.ask(msg, "", "", in)
	if err != nil {
		return nil, err
	}
	select {
	case a := <-in:
		return a.m.msg, a.err
	case <-ctx.Done():
		if c.Forget(ticket) {
			return nil, asUnknown(context.Cause(ctx))
		}
		a := <-in // it came in the same moment
		return a.m.msg, a.err
	}
}

// outcome says what an error of nats.go means for the fate of a request.
func outcome(err error) error {
	if errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("%w: %w", ErrRefused, ErrNoResponders)
	}
	if d, ok := errors.AsType[*denied](err); ok && d.publish {
		return asRefused(err)
	}
	// Found by nats.go before a byte was written. ErrConnectionClosed is not
	// among them: a close while we wait says the same.
	for _, local := range []error{nats.ErrReconnectBufExceeded, nats.ErrMaxPayload, nats.ErrBadSubject,
		nats.ErrHeadersNotSupported, nats.ErrInvalidMsg, nats.ErrConnectionDraining} {
		if errors.Is(err, local) {
			return asRefused(err)
		}
	}
	return asUnknown(err)
}

// asRefused marks an error of a request that was not sent, or not taken.
func asRefused(err error) error { return fmt.Errorf("%w: %w", ErrRefused, err) }

// asUnknown marks an error of a request that was sent and not answered.
func asUnknown(err error) error { return fmt.Errorf("%w: %w", ErrUnknown, timedOut(err)) }

// timedOut gives the end of a deadline the name that users know.
func timedOut(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return pluginapi.ErrTimeout
	}
	return err
}
