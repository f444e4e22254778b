package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
)

// storm is many callers at work, each call with far more time than it needs.
type storm struct {
	all   sync.WaitGroup
	done  atomic.Int64 // calls that have an answer
	fail  atomic.Int64 // calls without one
	stop  context.CancelFunc
	waits time.Duration // the longest of them
	mu    sync.Mutex
}

// callStorm keeps n callers calling until stop. judge is told each error.
func callStorm(t *testing.T, n int, call func(ctx context.Context, i int) error, judge func(i int, err error)) *storm {
	ctx, stop := context.WithCancel(t.Context())
	s := &storm{stop: stop}
	for i := range n {
		s.all.Go(func() {
			for ctx.Err() == nil {
				bounded, cancel := context.WithTimeout(context.Background(), 10*patience)
				begun := time.Now()
				err := call(bounded, i)
				cancel()
				s.mu.Lock()
				s.waits = max(s.waits, time.Since(begun))
				s.mu.Unlock()
				if err == nil {
					s.done.Add(1)
					continue
				}
				s.fail.Add(1)
				judge(i, err)
				<-time.After(20 * time.Millisecond) // nobody is there at this moment
			}
		})
	}
	return s
}

// end stops the storm: no call may have waited for its deadline.
func (s *storm) end(t *testing.T) {
	t.Helper()
	s.stop()
	s.all.Wait()
	if s.waits > patience {
		t.Errorf("a call took %v", s.waits)
	}
	t.Logf("%d answers, %d errors, the longest call took %v", s.done.Load(), s.fail.Load(), s.waits.Round(time.Millisecond))
}

// TestStoppingNodeLosesNoCall: a node stops while 64 callers call the app on it,
// again and again. Every call ends soon, with an answer or an error that says
// that nothing was done; those to any node, and those that are tried again, get
// an answer as long as another node can give it.
func TestStoppingNodeLosesNoCall(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	start := func(id string) *node {
		n := newNode(t, "leaves", id, s.ClientURL())
		a := n.app(cluster.NewApp("web", cluster.Spread()))
		a.Handle("do", func(ctx context.Context, req []byte) ([]byte, error) {
			if len(req) == 0 {
				return []byte(id), nil
			}
			select { // it is in the middle of something
			case <-time.After(2 * time.Millisecond):
				return []byte(id), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		return n.start()
	}
	stays := start("stays")
	leaves := start("leaves")
	spreadReady(t, stays, "web", "do", 2)
	storm := callStorm(t, 64, func(ctx context.Context, i int) (err error) {
		payload := []byte("slow")[:i%2*4]
		switch i / 2 % 4 {
		case 0, 1:
			_, err = stays.apps["web"].RPC().Call(ctx, "leaves", "do", payload)
		case 2:
			_, err = stays.API("web").Call(ctx, "do", payload, cluster.ToAny())
		case 3:
			_, err = stays.API("web").Call(ctx, "do", payload, cluster.ToAny(), cluster.WithRetry())
		}
		return err
	}, func(i int, err error) {
		nothing := errors.Is(err, cluster.ErrShuttingDown) || errors.Is(err, cluster.ErrUnreachable)
		if i/2%4 > 1 || !nothing || errors.Is(err, cluster.ErrUnknownOutcome) {
			t.Errorf("caller %d: %v", i, err)
		}
	})
	for round := range 15 {
		before := storm.done.Load()
		eventually(t, fmt.Sprintf("calls before stop %d", round), func() bool { return storm.done.Load() > before+200 })
		must(t, leaves.stop())
		leaves = start("leaves")
	}
	storm.end(t)
}

// TestLostNodeEndsCalls: a call to a node that is cut off and revoked ends then,
// whoever chose the node, and not at its deadline.
func TestLostNodeEndsCalls(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	link := startProxy(t, s)
	begun := make(chan struct{}, 3)
	lost := newNode(t, "cutoff", "n1", link.url(), cluster.WithLeaseTTL(time.Second))
	lost.app(cluster.NewApp("web")).Handle("block", func(ctx context.Context, _ []byte) ([]byte, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	lost.start()
	caller := newNode(t, "cutoff", "n2", s.ClientURL(), cluster.WithLeaseTTL(time.Second)).start()
	caller.knows("n1", "n2")
	lost.leads("web")
	errs := make(chan error, 3)
	for _, opts := range [][]cluster.CallOption{{cluster.ToAny()}, {cluster.ToLeader()}, {cluster.ToAny(), cluster.WithRetry()}} {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
			defer cancel()
			_, err := caller.API("web").Call(ctx, "block", nil, opts...)
			errs <- err
		}()
		<-begun
	}
	link.hold()
	for range 3 {
		select {
		case err := <-errs:
			wantErr(t, err, cluster.ErrUnknownOutcome)
		case <-within(t, 10*time.Second).Done():
			t.Fatal("a call waits on for a node that is lost")
		}
	}
	link.cut()
	link.heal()
}
