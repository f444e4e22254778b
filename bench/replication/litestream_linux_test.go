package replication

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// litestream is the program, or "" where there is none; that is logged.
func litestream(b *testing.B) string {
	b.Helper()
	name := os.Getenv("LITESTREAM")
	if name == "" {
		name = "litestream"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		b.Logf("without Litestream: set LITESTREAM to the path of its program (github.com/benbjohnson/litestream/cmd/litestream): %v", err)
		return ""
	}
	return path
}

// litestreamPair is a database that Litestream ships, and a copy that it keeps.
type litestreamPair struct {
	program, config, source, copied string
	interval                        time.Duration // 0: its default of a second
}

// ship begins to replicate a database to a folder, which is quicker than its other
// ways.
func ship(b *testing.B, program, path string, interval time.Duration) (l *litestreamPair, stop func()) {
	b.Helper()
	dir := b.TempDir()
	l = &litestreamPair{program: program, config: filepath.Join(dir, "litestream.yml"), source: path, interval: interval, copied: filepath.Join(dir, "copy.db")}
	var monitor, sync string
	if interval > 0 {
		monitor, sync = fmt.Sprintf("    monitor-interval: %s\n", interval), fmt.Sprintf("      sync-interval: %s\n", interval)
	}
	text := fmt.Sprintf("dbs:\n  - path: %s\n%s    replica:\n      type: file\n      path: %s\n%s", path, monitor, filepath.Join(dir, "replica"), sync)
	must(b, os.WriteFile(l.config, []byte(text), 0o600))
	return l, start(b, program, "replicate", "-config", l.config)
}

// follow begins to keep a copy, when there is something to restore.
func (l *litestreamPair) follow(b *testing.B) (stop func()) {
	b.Helper()
	l.restore(b, filepath.Join(b.TempDir(), "probe.db"))
	args := []string{"restore", "-config", l.config, "-f", "-o", l.copied}
	if l.interval > 0 {
		args = append(args, "-follow-interval", l.interval.String())
	}
	return start(b, l.program, append(args, l.source)...)
}

// restore restores what was shipped by now, once there is something.
func (l *litestreamPair) restore(b *testing.B, to string) (took time.Duration) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		began := time.Now()
		out, err := exec.CommandContext(ctx, l.program, "restore", "-config", l.config, "-o", to, l.source).CombinedOutput()
		if err == nil {
			return time.Since(began)
		}
		if ctx.Err() != nil {
			b.Fatalf("litestream restore: %v\n%s", err, out)
		}
		<-again.C
	}
}

// start runs a program until stop is called, or the benchmark ends.
func start(b *testing.B, name string, args ...string) (stop func()) {
	b.Helper()
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	must(b, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = sync.OnceFunc(func() {
		select {
		case err := <-ended:
			b.Errorf("%s ended by itself: %v\n%s", cmd, err, out.String())
			return
		default:
		}
		_ = cmd.Process.Kill()
		<-ended
	})
	b.Cleanup(stop)
	return stop
}
