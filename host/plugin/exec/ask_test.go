//go:build unix

package exec

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// hostFunc is a host that a test makes.
type hostFunc func(ctx context.Context, op string, in []byte) ([]byte, error)

func (f hostFunc) Call(ctx context.Context, op string, in []byte) ([]byte, error) {
	return f(ctx, op, in)
}

func TestAsk(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Limits.HostCalls, o.Limits.Input = 10, 1000
	o.Host = hostFunc(func(ctx context.Context, op string, in []byte) ([]byte, error) {
		switch op {
		case "echo":
			return in, nil
		case "none":
			return nil, fmt.Errorf("get %s: %w", in, pluginapi.ErrKeyNotFound)
		case "much":
			return make([]byte, 1001), nil
		}
		return nil, pluginapi.ErrNotGranted
	})
	i := load(t, config(t, "actor"), o)
	if got := mustCall(t, i, "ask", "echo hello"); got != "hello" {
		t.Errorf("got %q", got)
	}
	for in, want := range map[string]error{"none k": pluginapi.ErrKeyNotFound, "secret k": pluginapi.ErrNotGranted, "much": pluginapi.ErrTooLarge} {
		_, err := i.Call(t.Context(), "ask", []byte(in))
		wants(t, err, want)
		var told *wire.Error
		if !errors.As(err, &told) {
			t.Errorf("%s: %v is not the plugin's word", in, err)
		}
	}
	mustCall(t, i, "askmany", "10")
	pid := mustCall(t, i, "pid", "")
	_, err := i.Call(t.Context(), "askmany", []byte("11"))
	wants(t, err, pluginapi.ErrPluginLimit)
	if mustCall(t, i, "pid", "") == pid {
		t.Error("the process is the same")
	}
}

func TestAskWithoutAHost(t *testing.T) {
	t.Parallel()
	i := load(t, config(t, "actor"), options(t))
	_, err := i.Call(t.Context(), "ask", []byte("kv.get k"))
	wants(t, err, pluginapi.ErrNotGranted)
}

// What a plugin asks ends with the call, and goes on beside that of others.
func TestAskEndsWithTheCall(t *testing.T) {
	t.Parallel()
	o := options(t)
	asked, told := make(chan bool, 1), make(chan error, 1)
	o.Host = hostFunc(func(ctx context.Context, op string, in []byte) ([]byte, error) {
		if op == "echo" {
			return in, nil
		}
		asked <- true
		<-ctx.Done()
		told <- ctx.Err()
		return nil, ctx.Err()
	})
	i := load(t, config(t, "actor"), o)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := i.Call(ctx, "ask", []byte("forever"))
		ended <- err
	}()
	<-asked
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			word := fmt.Sprint(n)
			got, err := i.Call(t.Context(), "ask", []byte("echo "+word))
			if err != nil || string(got) != word {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	all.Wait()
	cancel()
	wants(t, <-ended, context.Canceled, pluginapi.ErrUnknownOutcome)
	select {
	case err := <-told:
		wants(t, err, context.Canceled)
	case <-time.After(longTime):
		t.Error("the host still works on it")
	}
	if s := i.Stats(); s.Restarts != 0 {
		t.Errorf("stats: %+v", s)
	}
}
