package sqlite_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/replication/sqlite"
)

// TestMain is also the program that the tests kill: it replicates from one file
// to another, in a process of its own.
func TestMain(m *testing.M) {
	if from := os.Getenv("SQLITE_TEST_FROM"); from != "" {
		if err := replicate(from, os.Getenv("SQLITE_TEST_TO")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func replicate(from, to string) error {
	ctx := context.Background()
	a, err := sqlite.OpenApplier(ctx, to, sqlite.ApplierOptions{})
	if err != nil {
		return err
	}
	defer a.Close()
	c, err := sqlite.OpenCapture(ctx, from, sqlite.CaptureOptions{Checkpoint: 512 << 10, MaxBatch: 128 << 10})
	if err != nil {
		return err
	}
	defer c.Close()
	base := sqlite.NewTable(a.Table().PageSize(), bytesOf(a.Table().Hashes()))
	return c.Run(ctx, base, a.Apply)
}

// replicator starts that program.
func (r *rig) replicator() *exec.Cmd {
	r.t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "SQLITE_TEST_FROM="+r.source, "SQLITE_TEST_TO="+r.copy)
	cmd.Stderr = &lines{}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	return cmd
}

// Writers are killed at any moment; another goes on. The copy has what is left
// of their work.
func TestKillWriters(t *testing.T) {
	r := newRig(t, 4096)
	r.start(sqlite.CaptureOptions{Checkpoint: 512 << 10})
	r.sync()
	end := r.watch()
	random := rand.New(rand.NewPCG(7, 7))
	for i := range 8 {
		features := []string{"vacuum", "checkpoint"}
		if i%2 == 0 {
			features = append(features, "full")
		}
		cmd := r.stress(100+i, 100000, features...)
		until(t, "the writer writes", func() bool { return cmd.Stdout.(*lines).String() != "" })
		<-time.After(time.Duration(random.IntN(150)) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if i%4 == 3 {
			r.same()
		}
	}
	r.finish(r.stress(1, 20))
	r.same()
	t.Logf("%d looks of a reader; %+v", end(), r.capture.Stats())
	r.ends()
}

// What replicates is killed at any moment, while writers go on. The source is
// unharmed, a reader of the copy never sees a transaction half, and the next
// start brings the copy to where the source is.
func TestKillCapture(t *testing.T) {
	r := newRig(t, 4096)
	needs(t, "python3")
	r.start(sqlite.CaptureOptions{})
	r.sync()
	_ = r.stop()
	end := r.watch()
	one := r.stress(1, 100000, "vacuum", "checkpoint")
	two := r.stress(2, 100000, "vacuum", "full")
	random := rand.New(rand.NewPCG(7, 7))
	for range 8 {
		cmd := r.replicator()
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-time.After(time.Duration(50+random.IntN(300)) * time.Millisecond):
			_ = cmd.Process.Kill()
			<-ended
		case err := <-ended:
			t.Fatalf("the replication ended by itself: %v: %s", err, cmd.Stderr)
		}
	}
	for _, cmd := range []*exec.Cmd{one, two} {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text := cmd.Stderr.(*lines).String(); text != "" {
			t.Errorf("a writer: %s", text)
		}
	}
	r.start(sqlite.CaptureOptions{})
	r.same()
	t.Logf("%d looks of a reader; %s rows", end(), strconv.Itoa(r.count(r.copy, "SELECT count(*) FROM t")))
}
