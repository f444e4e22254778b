package cluster_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	cluster "github.com/ozanturksever/go-cluster"
)

// runBound is how long Run may take to find out that it cannot: a connection is
// tried for 5 s, JetStream for 3 s. There is room for a busy machine.
const runBound = 30 * time.Second

// TestBadNames: a name that NATS, a folder or a control group would take for
// something else is refused before anything starts (defect 41).
func TestBadNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", " ", "a b", "a.b", "*", ">", "a*", "a/b", "../a", "a\\b", "a\x00b", "a\n", "-a", "_a", "ä", "日本", "a:b", "$SYS", strings.Repeat("a", 64), strings.Repeat("x", 300),
	} {
		t.Run(fmt.Sprintf("%.10q", name), func(t *testing.T) {
			_, err := cluster.NewPlatform(name, "n1", "nats://127.0.0.1:1")
			wantErr(t, err, cluster.ErrInvalid, "platform name")
			_, err = cluster.NewPlatform("p", name, "nats://127.0.0.1:1")
			wantErr(t, err, cluster.ErrInvalid, "node name")
			p, err := cluster.NewPlatform("p", "n1", "nats://127.0.0.1:1")
			must(t, err)
			p.Register(cluster.NewApp(name))
			err = p.Run(t.Context())
			wantErr(t, err, cluster.ErrInvalid, "app name")
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
	for _, name := range []string{"a", "A-1_b", strings.Repeat("a", 63)} {
		if _, err := cluster.NewPlatform(name, name, "nats://127.0.0.1:1"); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestBadTimes: durations that cannot work are refused with what would.
func TestBadTimes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts []cluster.PlatformOption
		want string
	}{
		"negative ttl":        {[]cluster.PlatformOption{cluster.WithLeaseTTL(-time.Second)}, "lease ttl is -1s"},
		"negative heartbeat":  {[]cluster.PlatformOption{cluster.WithHeartbeat(-time.Second)}, "heartbeat is -1s"},
		"negative hook":       {[]cluster.PlatformOption{cluster.WithHookTimeout(-time.Second)}, "hook timeout is -1s"},
		"negative shutdown":   {[]cluster.PlatformOption{cluster.WithShutdownTimeout(-time.Second)}, "shutdown timeout is -1s"},
		"short ttl":           {[]cluster.PlatformOption{cluster.WithLeaseTTL(time.Millisecond)}, "allowed are 500ms to 1h0m0s"},
		"long ttl":            {[]cluster.PlatformOption{cluster.WithLeaseTTL(24 * time.Hour)}, "allowed are 500ms to 1h0m0s"},
		"ttl < 3 x heartbeat": {[]cluster.PlatformOption{cluster.WithLeaseTTL(2 * time.Second), cluster.WithHeartbeat(time.Second)}, "give a ttl of 3s or more"},
		"long heartbeat":      {[]cluster.PlatformOption{cluster.WithHeartbeat(time.Minute)}, "give a ttl of 3m0s or more"},
	} {
		_, err := cluster.NewPlatform("p", "n1", "nats://127.0.0.1:1", c.opts...)
		t.Run(name, func(t *testing.T) { wantErr(t, err, cluster.ErrInvalid, c.want) })
	}
}

// badRun is a platform that cannot run, and what Run must say.
type badRun struct {
	name string
	url  string
	opts []cluster.PlatformOption
	want []any
}

// TestRunRefuses: what keeps a node from running is said with what it is and
// how to mend it, within a bound, and nothing is left running or locked.
func TestRunRefuses(t *testing.T) {
	good := startNATS(t)
	rows := append(badServers(t), badFolders(t, good.ClientURL())...)
	before := len(running())
	t.Run("rows", func(t *testing.T) {
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				p, err := cluster.NewPlatform("bad", "n1", row.url, row.opts...)
				if err == nil {
					p.Register(cluster.NewApp("web"))
					begun := time.Now()
					err = p.Run(within(t, 2*runBound))
					if d := time.Since(begun); d > runBound {
						t.Errorf("it took %v", d)
					}
				}
				if err == nil {
					t.Fatal("it runs, or says nothing")
				}
				wantErr(t, err, row.want...)
			})
		}
	})
	goroutines(t, before)
}

func badServers(t *testing.T) []badRun {
	t.Helper()
	noJS := startNATS(t, func(o *server.Options) { o.JetStream = false })
	secret := startNATS(t, func(o *server.Options) { o.Username, o.Password = "app", "right" })
	narrow := startNATS(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "app", Password: "right", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{"other.>"}},
		}}}
	})
	silent, nobody := listen(t, func(net.Conn) {}), "nats://127.0.0.1:1"
	web := listen(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	stopped := good(t)
	return []badRun{
		{"nobody listens", nobody, nil, []any{"127.0.0.1:1", "nobody listens there", "start the server or correct the address"}},
		{"a listener that is silent", silent, nil, []any{strings.TrimPrefix(silent, "nats://"), "no answer within", "firewall"}},
		{"something else listens", web, nil, []any{"not a NATS server", "correct the address"}},
		{"a server that has just stopped", stopped, nil, []any{"nobody listens there"}},
		{"no JetStream", noJS.ClientURL(), nil, []any{"no JetStream", "turn it on"}},
		{"wrong password", secret.ClientURL(), []cluster.PlatformOption{cluster.NATSUserInfo("app", "wrong")}, []any{"it refuses", "user \"app\"", "correct the credentials"}},
		{"no password", secret.ClientURL(), nil, []any{"it refuses", "no credentials"}},
		{"too few rights", narrow.ClientURL(), []cluster.PlatformOption{cluster.NATSUserInfo("app", "right")}, []any{"ermission", "$JS.API"}},
		{"no such file", nobody, []cluster.PlatformOption{cluster.NATSCreds("/no/such.creds")}, []any{"/no/such.creds", "no such file"}},
		{"two credentials", nobody, []cluster.PlatformOption{cluster.NATSUserInfo("a", "b"), cluster.NATSToken("c")}, []any{cluster.ErrInvalid, "choose one kind"}},
		{"not a URL", "http://example.com", nil, []any{cluster.ErrInvalid, "http", "nats://host:port"}},
		{"a blank between URLs", "nats://127.0.0.1:1, nats://127.0.0.1:2", nil, []any{cluster.ErrInvalid, "blank"}},
	}
}

// good returns the URL of a server that was there.
func good(t *testing.T) string {
	s := startNATS(t)
	url := s.ClientURL()
	s.Shutdown()
	s.WaitForShutdown()
	return url
}

// listen answers each connection with a function, and keeps it open.
func listen(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var open []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			open = append(open, c)
			answer(c)
		}
		for _, c := range open {
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "nats://" + l.Addr().String()
}

func badFolders(t *testing.T, url string) []badRun {
	t.Helper()
	base := t.TempDir()
	file := filepath.Join(base, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	damaged := filepath.Join(base, "damaged")
	must(t, os.MkdirAll(damaged, 0o700))
	must(t, os.WriteFile(filepath.Join(damaged, "node.json"), []byte("{"), 0o600))
	foreign := filepath.Join(base, "foreign")
	must(t, os.MkdirAll(foreign, 0o700))
	must(t, os.WriteFile(filepath.Join(foreign, "node.json"), []byte(`{"platform":"other","node":"n7","home":"h"}`), 0o600))
	newNode(t, "bad", "n1", url, cluster.WithDataDir(filepath.Join(base, "used"))).start()
	data := func(path string) []cluster.PlatformOption {
		return []cluster.PlatformOption{cluster.WithDataDir(path)}
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { busy.Close() })
	port := cluster.WithEmbedded(cluster.EmbeddedConfig{Listen: busy.Addr().String()})
	rows := []badRun{
		{"a file in the way", url, data(file), []any{file, "data_dir"}},
		{"a folder below a file", url, data(filepath.Join(file, "data")), []any{file, "data_dir"}},
		{"another process has it", url, data(filepath.Join(base, "used")), []any{"another process uses it", filepath.Join(base, "used"), "folder of its own"}},
		{"of another platform", url, data(foreign), []any{cluster.ErrInvalid, "node n7 of platform other", "data_dir"}},
		{"damaged", url, data(damaged), []any{"node.json", "damaged", "move the folder away"}},
		{"port in use", "", append(data(filepath.Join(base, "port")), port), []any{busy.Addr().String(), "Listen", "choose another address"}},
		{"secret and no TLS beyond loopback", "", append(data(filepath.Join(base, "open")), cluster.WithEmbedded(cluster.EmbeddedConfig{Listen: "0.0.0.0:0"})), []any{cluster.ErrInvalid, "TLS"}},
	}
	if full, ok := disk(t, false); ok {
		rows = append(rows,
			badRun{"disk full", "", data(filepath.Join(full, "a")), []any{syscall.ENOSPC, "free some space"}},
		)
	}
	if locked, ok := disk(t, true); ok {
		rows = append(rows,
			badRun{"read-only, embedded", "", data(locked), []any{syscall.EROFS, locked, "data_dir"}},
			badRun{"read-only, existing NATS", url, data(filepath.Join(locked, "a")), []any{syscall.EROFS, locked, "data_dir"}},
		)
	}
	return rows
}

// disk is a disk with 64 KiB, or one that cannot be written.
func disk(t *testing.T, readOnly bool) (dir string, ok bool) {
	t.Helper()
	dir = t.TempDir()
	if os.Getuid() != 0 {
		return "", false
	}
	return dir, mountDisk(t, dir, readOnly)
}

// TestSlowServer: a server that is far away is good enough, as long as its
// answers come within what the lease allows.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	link := startProxy(t, startNATS(t))
	link.slow(50 * time.Millisecond)
	n := newNode(t, "far", "n1", link.url(), cluster.WithLeaseTTL(12*time.Second))
	n.app(cluster.NewApp("web"))
	n.start()
	n.leads("web")
}

// TestRefusedLeavesNothing: after a refusal the same folder and port can be
// used at once.
func TestRefusedLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	opts := []cluster.PlatformOption{cluster.WithDataDir(dir), cluster.WithEmbedded(cluster.EmbeddedConfig{Listen: busy.Addr().String()})}
	p, err := cluster.NewPlatform("again", "n1", "", opts...)
	must(t, err)
	wantErr(t, p.Run(t.Context()), busy.Addr().String())
	busy.Close()
	newNode(t, "again", "n1", "", opts...).start()
}

// TestWaitForRefusedRun: who waits for a platform that Run refuses is told.
func TestWaitForRefusedRun(t *testing.T) {
	t.Parallel()
	p, err := cluster.NewPlatform("p", "n1", "nats://127.0.0.1:1")
	must(t, err)
	p.Register(cluster.NewApp("not a name"))
	waited := make(chan error, 1)
	go func() { waited <- p.WaitReady(within(t, patience)) }()
	wantErr(t, p.Run(t.Context()), cluster.ErrInvalid, "app name")
	wantErr(t, <-waited, cluster.ErrInvalid, "refused")
}
