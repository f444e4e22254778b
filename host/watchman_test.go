package host

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ozanturksever/go-cluster/host/bus"
)

// TestFirstReadsAreLost: what a guard asks first may go to a server that has just
// died. It asks again at once, not when all of its time is over.
func TestFirstReadsAreLost(t *testing.T) {
	s, err := server.NewServer(&server.Options{DontListen: true, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := bus.Dial(ctx, bus.Config{InProcess: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	names, err := bus.NewNames("p")
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := bus.AttachRecords(c, names.Sessions())
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	if _, err := c.Subscribe("$JS.API.STREAM.MSG.GET."+names.Sessions().Stream, "", func(m bus.Message) {
		if asked.Add(1) > 2 {
			_ = m.Respond([]byte(`{"message":{"subject":"gc.p.s.n1","seq":7,"data":"eA=="}}`)) // the reader gives up without it
		}
	}); err != nil {
		t.Fatal(err)
	}
	rec, err := (&store{conn: c, sessions: sessions, names: names}).read(ctx, "n1")
	if err != nil || rec.Seq != 7 || string(rec.Value) != "x" || asked.Load() != 3 {
		t.Errorf("read %+v %v after %d questions", rec, err, asked.Load())
	}
}
