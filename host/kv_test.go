package host

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// testBucket is the bucket of an app on a server of its own.
func testBucket(t *testing.T) *bus.Bucket {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	c, err := bus.Dial(ctx, bus.Config{InProcess: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	names, err := bus.NewNames("p")
	if err != nil {
		t.Fatal(err)
	}
	app, err := names.App("a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := bus.OpenBucket(ctx, c, app, 0)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A node that still believes in its lease is refused by the store once a newer
// leader has written, and that is told.
func TestFencedWritesAreCounted(t *testing.T) {
	b := testBucket(t)
	var node buckets
	a := node.of("a")
	a.bucket = b
	valid := true
	lease := func(epoch pluginapi.Epoch) pluginapi.Lease {
		return pluginapi.Lease{Epoch: epoch, Valid: func() bool { return valid }}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	refusals := 0
	refused := func() { refusals++ }
	old := node.writer(a, lease(3), refused)
	if _, err := old.Put(ctx, "k", []byte("old")); err != nil {
		t.Fatal(err)
	}
	if again := node.writer(a, lease(3), refused); again != old {
		t.Error("one leadership has two writers: two of its changes could be on their way at once")
	}
	if _, err := b.EpochWriter(4, func() bool { return true }, nil).Put(ctx, "k", []byte("new")); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if _, err := old.Put(ctx, "k", []byte("late")); !errors.Is(err, pluginapi.ErrFenced) || errors.Is(err, bus.ErrUnknown) {
			t.Errorf("late write: %v", err)
		}
		if refusals != n+1 {
			t.Errorf("%d refusals were told, want %d", refusals, n+1)
		}
	}
	next := node.writer(a, lease(5), refused)
	if err := next.Raise(ctx); err != nil {
		t.Fatal(err)
	}
	valid = false
	if _, err := next.Put(ctx, "k", []byte("no lease")); !errors.Is(err, pluginapi.ErrNotLeader) {
		t.Errorf("without a lease: %v", err)
	}
	if e, err := b.GetLinearizable(ctx, "k"); err != nil || string(e.Value) != "new" {
		t.Errorf("stored %+v %v", e, err)
	}
}
