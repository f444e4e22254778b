package sqlite_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// A writer is stopped while it holds the lock of writers, with pages of its
// transaction in the log already. What was committed is in the copy, a barrier
// and a pin do not wait for it, nothing is looked at more often than it should
// be; when it goes on its transaction follows.
func TestStoppedWriter(t *testing.T) {
	r := newRig(t, 4096)
	r.start(sqlite.CaptureOptions{Checkpoint: 64 << 10})
	f := newForeign(t, r.source)
	f.fill(20, 2000)
	f.do("PRAGMA cache_size=5", "PRAGMA cache_spill=1", "BEGIN IMMEDIATE",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<100) INSERT INTO a(v) SELECT randomblob(3000) FROM n")
	if err := f.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r.sync()
	before := r.count(r.copy, "SELECT count(*) FROM a")
	p, err := r.capture.Pin(t.Context(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	if before != 20 {
		t.Errorf("%d rows of a transaction that is not committed", before)
	}
	until(t, "it rests beside a stopped writer", func() bool {
		looks, at := r.capture.Stats().Looks, time.Now()
		<-time.After(1500 * time.Millisecond)
		return r.capture.Stats().Looks-looks <= 2*uint64(1+time.Since(at)/time.Second)
	})
	if err := f.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	f.do("COMMIT")
	r.same()
	if n := r.count(r.copy, "SELECT count(*) FROM a"); n != 120 {
		t.Errorf("%d rows", n)
	}
	f.fill(50, 3000)
	r.ends()
}

// What replicates is stopped for a while, at any moment, while programs write
// and checkpoint. They go on, and the copy catches up.
func TestStoppedCapture(t *testing.T) {
	r := newRig(t, 4096)
	needs(t, "python3")
	cmd := r.replicator()
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	operations := 150
	if long() {
		operations = 5000
	}
	one, two := r.stress(1, operations, "checkpoint"), r.stress(2, operations, "vacuum")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = one.Wait()
		_ = two.Wait()
	}()
	for n, running := 0, true; running; n++ {
		for _, sig := range []os.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			select {
			case <-time.After(time.Duration(20+37*n%200) * time.Millisecond):
			case <-ended:
				running = false
			}
		}
	}
	for _, w := range []*exec.Cmd{one, two} {
		if text := w.Stderr.(*lines).String(); text != "" {
			t.Errorf("a writer: %s", text)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	r.start(sqlite.CaptureOptions{})
	r.ends()
}

// What replicates is killed at the first, second, third ... call that writes,
// moves or syncs a file, of the source or the copy. The reader of the copy never
// sees half a transaction, the source is unharmed, and the next start goes on.
func TestKillAtEachWrite(t *testing.T) {
	r := newRig(t, 4096)
	needs(t, "strace")
	needs(t, "python3")
	r.start(sqlite.CaptureOptions{})
	r.sync()
	_ = r.stop()
	r.finish(r.stress(1, 10))
	end := r.watch()
	kills := 9
	if long() {
		kills = 150
	}
	killed := 0
	for n := 1; n <= kills; n++ {
		writer := r.stress(n, 100000, "checkpoint")
		what := strconv.Itoa(2*n - 1)
		if n%4 == 0 {
			what = strconv.Itoa(n / 4)
		}
		calls := "pwrite64,ftruncate"
		if n%4 == 0 {
			calls = "fdatasync,fsync"
		}
		cmd := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace="+calls,
			"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%s", calls, what), os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), "SQLITE_TEST_FROM="+r.source, "SQLITE_TEST_TO="+r.copy)
		stderr := &lines{}
		cmd.Stderr = stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			if err == nil || err.Error() != "signal: killed" {
				t.Errorf("it was not killed: %v", err)
			}
			killed++
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			t.Errorf("not killed at call %s of %s", what, calls)
			<-ended
		}
		if text := stderr.String(); text != "" {
			t.Errorf("the replication ended by itself: %s", text)
		}
		_ = writer.Process.Kill()
		_ = writer.Wait()
		if t.Failed() {
			break
		}
	}
	r.start(sqlite.CaptureOptions{})
	r.same()
	t.Logf("%d kills, %d looks of a reader", killed, end())
	r.ends()
}
