package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// G14: what keeps a server from starting is said, with the way to mend it, and
// nothing half-started stays behind.
func TestRunRefuses(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	used := single(t)
	if err := run(t, used).stop(); err != nil {
		t.Fatal(err)
	}
	cluster := voters(t, 2)[0]
	before := runtime.NumGoroutine()
	for _, c := range []struct {
		name   string
		cfg    Config
		change func(*testing.T, *Config)
		says   string
	}{
		{"client port in use", single(t), func(_ *testing.T, c *Config) { c.Listen = busy.Addr().String() }, "Listen: listen tcp"},
		{"route port in use", cluster, func(_ *testing.T, c *Config) { c.Cluster.Listen = busy.Addr().String() }, "Cluster.Listen: listen tcp"},
		{"mesh port in use", cluster, func(_ *testing.T, c *Config) { c.Cluster.Mesh = busy.Addr().String() }, "Cluster.Mesh: listen tcp"},
		{"a file in the way", single(t), func(t *testing.T, c *Config) { write(t, c.Dir, "") }, "choose another Dir"},
		{"another platform", used, func(_ *testing.T, c *Config) { c.Platform = "p2" }, `from another platform, "p1", this is "p2"`},
		{"another server", used, func(_ *testing.T, c *Config) { c.Name = "b" }, `from another server, "a", this is "b"`},
		{"a single server's store in a cluster", used, func(_ *testing.T, c *Config) { c.Cluster = cluster.Cluster }, "the store of a single server"},
		{"a stranger's store", single(t), func(t *testing.T, c *Config) { write(t, filepath.Join(c.Dir, "jetstream", "x"), "") }, "not one of ours"},
		{"a damaged identity", single(t), func(t *testing.T, c *Config) { write(t, filepath.Join(c.Dir, storeFile), "{") }, "read store.json"},
		{"an endless identity", single(t), func(t *testing.T, c *Config) {
			write(t, filepath.Join(c.Dir, storeFile), strings.Repeat(" ", 2*maxFile)+"{}")
		}, "read store.json"},
		{"a read-only folder", single(t), readOnly, "the folder must be writable"},
		{"a full disk", single(t), fullDisk, "free some space"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := c.cfg
			if cfg.Cluster != nil {
				cl := *cfg.Cluster
				cfg.Cluster = &cl
			}
			c.change(t, &cfg)
			s, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := s.Run(ctx); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error is %v, want one that says %q", err, c.says)
			}
			if _, err := s.InProcessConn(); err == nil {
				t.Error("a server that did not start gave a connection")
			}
		})
	}
	eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
	if err := run(t, used).stop(); err != nil {
		t.Errorf("the store does not open again for the right server: %v", err)
	}
}

// What checkPorts does not see, the server itself reports: a port that is taken
// between the check and the start.
func TestFatalOfTheServer(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	before := runtime.NumGoroutine()
	for _, change := range []func(*Config){
		func(c *Config) { c.Listen = busy.Addr().String() },
		func(c *Config) { c.Cluster.Listen = busy.Addr().String() },
		func(c *Config) { write(t, filepath.Join(c.Dir, "jetstream"), "") },
	} {
		cfg := voters(t, 2)[0]
		change(&cfg)
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := s.start(ctx); err == nil {
			t.Error("the server started")
		}
		cancel()
	}
	eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestStoreIsLocked(t *testing.T) {
	cfg := single(t)
	r := run(t, cfg)
	second, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := second.Run(ctx); !errors.Is(err, errLocked) {
		t.Errorf("a second server on the same store: %v", err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(cfg.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v, %v", info.Mode(), err)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// readOnly takes the right to write away; root, who has it always, gets a
// read-only file system instead.
func readOnly(t *testing.T, c *Config) {
	t.Helper()
	if err := os.MkdirAll(c.Dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		tmpfs(t, c.Dir, "ro")
	}
}

// fullDisk gives the folder a file system with room for a few files only.
func fullDisk(t *testing.T, c *Config) {
	t.Helper()
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	tmpfs(t, c.Dir, fmt.Sprintf("size=%d", probeSize/2))
}
