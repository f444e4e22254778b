package embedded

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ozanturksever/go-cluster/host/bus"
)

// A server that is stopped while it catches up, together with the one that it
// catches up from, does not wait for messages that no longer come. One that has
// caught up too soon proves nothing: then it is given twice as much.
func TestStopWhileCatchingUp(t *testing.T) {
	for pieces := 100; pieces <= 800; pieces *= 2 {
		took, caught := stopBehind(t, pieces)
		if !caught {
			t.Logf("with %d pieces it had caught up before the others stopped", pieces)
			continue
		}
		t.Logf("stopped in %v", took)
		if took > stopPatience+stopBound/2 {
			t.Errorf("it took %v to stop: it waited for the others", took)
		}
		return
	}
	t.Fatal("it always caught up before the others stopped: nothing is proved")
}

// stopBehind stops a server that is so many pieces behind, together with the
// others. caught says that it was still catching up.
func stopBehind(t *testing.T, pieces int) (took time.Duration, caught bool) {
	const window = 1 << 20
	cfgs := voters(t, 3)
	for i := range cfgs {
		cfgs[i].maxCatchup = window
	}
	all := runAll(t, cfgs)
	records := names(t).Records()
	nc := dial(t, all[0], bus.RoleNode, "a")
	makeStream(t, nc, records, 3)
	behind := all[2]
	stop(t, behind)
	body := make([]byte, window/4)
	for i := range pieces {
		eventually(t, "a message is stored", func() bool {
			_, err := nc.Request(fmt.Sprintf("%s.k%d", records.Subject, i), body, patience)
			return err == nil
		})
	}
	stop(t, all[0]) // one that stops makes snapshots: what they hold does not come by the log
	stop(t, all[1])
	ahead := []*running{run(t, cfgs[0]), run(t, cfgs[1])}
	var said lines
	cfgs[2].Logger = said.logger(slog.LevelDebug)
	behind = run(t, cfgs[2])
	eventually(t, "it catches up", func() bool { return stored(behind, records.Stream) > 0 })
	began := time.Now()
	var others sync.WaitGroup
	for _, r := range ahead {
		others.Go(func() { _ = r.stop() }) // told at the end of the test
	}
	stop(t, behind)
	took = time.Since(began)
	others.Wait()
	return took, said.with("ending its raft nodes") > 0
}

func stop(t *testing.T, r *running) {
	t.Helper()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
}

// stored is how many messages of a stream a server has.
func stored(r *running, stream string) uint64 {
	in := r.running.Load()
	if in == nil {
		return 0
	}
	info, err := in.nats.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		return 0
	}
	for _, account := range info.AccountDetails {
		for _, s := range account.Streams {
			if s.Name == stream {
				return s.State.Msgs
			}
		}
	}
	return 0
}
