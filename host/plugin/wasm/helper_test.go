package wasm

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin"
)

// patience is for what must happen some time, on a machine of any load.
const patience = 60 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// journal is a log that a test can read.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// newRuntime makes a runtime that is closed with the test.
func newRuntime(t testing.TB, c Config) *Runtime {
	t.Helper()
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return r
}

// load loads a module, and fails the test if that does not work.
func load(t testing.TB, r *Runtime, m []byte, o plugin.Options) *instance {
	t.Helper()
	i, err := r.Load(testContext(t), artifact(t, m), o)
	if err != nil {
		t.Fatal(err)
	}
	return i.(*instance)
}

// answers checks that a guest echoes.
func answers(t testing.TB, i plugin.Instance) {
	t.Helper()
	out, err := i.Call(testContext(t), "event", []byte("hello"))
	if err != nil || string(out) != "hello" {
		t.Fatalf("echo: %q, %v", out, err)
	}
}

// hostFuncOf is a host made of a function.
type hostFuncOf func(ctx context.Context, op string, in []byte) ([]byte, error)

func (h hostFuncOf) Call(ctx context.Context, op string, in []byte) ([]byte, error) {
	return h(ctx, op, in)
}
