package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

const (
	kvReadTry  = 2 * time.Second       // one try of a read: the server asked may be frozen
	kvRetry    = 2 * time.Millisecond  // before the second try; doubles
	kvRetryMax = 50 * time.Millisecond // while a stream elects its leader, which takes this long and longer
)

// bound gives a context without a deadline one.
func bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, KVTimeout)
}

// insist calls do until it succeeds, fails for good, or ctx ends.
func insist(ctx context.Context, again func(error) bool, do func(context.Context) error) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	for wait := kvRetry; ; wait = min(2*wait, kvRetryMax) {
		err := do(ctx)
		if err == nil || !again(err) {
			return err
		}
		if !pause(ctx, wait/2, wait/2) {
			return fmt.Errorf("%w; last: %w", timedOut(ctx.Err()), err)
		}
	}
}

// untaken says of a change that it was certainly not made, and that it may be
// if it is sent again: nobody led the stream, or another change of the same key
// was on its way.
func untaken(err error) bool {
	if errors.Is(err, ErrClosed) {
		return false
	}
	if errors.Is(err, ErrRefused) && errors.Is(err, pluginapi.ErrTimeout) {
		return true // the time of one try ran out before it was sent
	}
	return errors.Is(err, ErrNoResponders) || errors.Is(err, errNotConnected) || errors.Is(err, errNoLeader) ||
		isAPI(err, codeNotAvailable, codeNotLeader, codeNotReady, codeBusy, codeWrongSequence2)
}

// unread says of a read that another try may succeed.
func unread(err error) bool {
	return untaken(err) || errors.Is(err, ErrUnknown) || errors.Is(err, errMoved)
}

// Reread makes a read, and again as long as another try may succeed: while a
// stream elects its leader nobody answers. It ends with ctx, after [KVTimeout]
// when that has no deadline. One try takes at most 2 s.
func Reread(ctx context.Context, read func(context.Context) error) error {
	return insist(ctx, unread, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, kvReadTry)
		defer cancel()
		return read(ctx)
	})
}
