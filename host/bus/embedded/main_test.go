package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/host/bus"
)

const (
	childEnv   = "GC_EMBEDDED_CHILD"
	testSecret = "a secret of these tests"
	platform   = "p1"
	patience   = 30 * time.Second // for what takes milliseconds on a machine that is not busy
)

// TestMain runs the test binary as a server when a test asks for a real process.
func TestMain(m *testing.M) {
	if cfg := os.Getenv(childEnv); cfg != "" {
		os.Exit(runChild(cfg))
	}
	os.Exit(m.Run())
}

type childReport struct {
	URL   string
	State State
	Stood int64 // Raft nodes that were sent to election
}

// runChild runs one server, writes a report to stdout for each line on stdin,
// and ends with stdin: a child does not outlive its test.
func runChild(text string) int {
	var cfg Config
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	s, err := New(cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	go func() {
		defer cancel()
		<-s.Ready()
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			_ = json.NewEncoder(os.Stdout).Encode(childReport{s.ClientURL(), s.State(), s.running.Load().stood.Load()})
		}
	}()
	if err := <-ended; err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

type child struct {
	name string
	cfg  Config
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
	log  string
}

func startChild(t *testing.T, c *child) {
	t.Helper()
	b, err := json.Marshal(c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.cmd = exec.Command(os.Args[0])
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(b))
	log, err := os.OpenFile(c.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.cmd.Stderr = log
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = json.NewDecoder(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (c *child) report(t *testing.T) (r childReport) {
	t.Helper()
	if _, err := fmt.Fprintln(c.in); err != nil {
		t.Fatal(err)
	}
	if err := c.out.Decode(&r); err != nil {
		log, _ := os.ReadFile(c.log)
		t.Fatalf("child %s: %v\n%s", c.name, err, log)
	}
	return r
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// voters makes the configurations of n servers of one cluster on loopback.
func voters(t *testing.T, n int) (all []Config) {
	t.Helper()
	ports := freePorts(t, 3*n)
	addr := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	dir := t.TempDir()
	for i := range n {
		name := string(rune('a' + i))
		c := Config{
			Name: name, Platform: platform, Secret: testSecret, Dir: filepath.Join(dir, name),
			Listen:  addr(3 * i),
			Cluster: &Cluster{Listen: addr(3*i + 1), Mesh: addr(3*i + 2)},
		}
		for j := range n {
			if j != i {
				c.Cluster.Peers = append(c.Cluster.Peers, Peer{string(rune('a' + j)), addr(3*j + 1), addr(3*j + 2)})
			}
		}
		all = append(all, c)
	}
	return all
}

func single(t *testing.T) Config {
	t.Helper()
	return Config{Name: "a", Platform: platform, Secret: testSecret, Dir: filepath.Join(t.TempDir(), "store")}
}

// freePorts holds all of them open until it has enough.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// running is a server in this process.
type running struct {
	*Server
	stop func() error // ends Run and waits for it
}

func run(t *testing.T, cfg Config) *running {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("run %s: %v", cfg.Name, err)
		}
	})
	select {
	case <-s.Ready():
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	case <-time.After(patience):
		t.Fatal("the server did not get ready")
	}
	return &running{s, stop}
}

func runAll(t *testing.T, cfgs []Config) (all []*running) {
	t.Helper()
	for _, c := range cfgs {
		all = append(all, run(t, c))
	}
	eventually(t, "the cluster has formed and everyone is up to date", func() bool {
		return !slices.ContainsFunc(all, func(r *running) bool { return !healthy(r.State(), len(cfgs)) })
	})
	return all
}

func healthy(s State, voters int) bool {
	return s.Running && s.Store && s.Voters == voters && len(s.PeersUp) == voters-1 && s.MetaLeader != "" && len(s.NotCurrent) == 0
}

// dial connects to a server in this process, over TCP, as a role.
func dial(t *testing.T, r *running, role bus.Role, id string, more ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := connect(r.ClientURL(), role, id, more...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func connect(url string, role bus.Role, id string, more ...nats.Option) (*nats.Conn, error) {
	user, password := bus.Login(testSecret, role, id)
	opts := append([]nats.Option{
		nats.UserInfo(user, password), nats.CustomInboxPrefix(bus.InboxPrefix(role, id)),
		nats.MaxReconnects(-1), nats.ReconnectWait(50 * time.Millisecond), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}, more...)
	return nats.Connect(url, opts...)
}

// makeStream makes one of the platform's streams of records as package bus does.
func makeStream(t *testing.T, nc *nats.Conn, r bus.RecordsConfig, replicas int) jetstream.Stream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	var s jetstream.Stream
	eventually(t, "the stream is made", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		s, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: r.Stream, Subjects: []string{r.Subject + ".>"}, Replicas: replicas,
			MaxMsgsPerSubject: 1, DenyDelete: true, DenyPurge: true,
			RePublish: &jetstream.RePublish{Source: r.Subject + ".>", Destination: r.Republish + ".>"},
		})
		return err == nil
	})
	return s
}

// put writes a record if its sequence is still the expected one.
func put(nc *nats.Conn, subject string, expected uint64, timeout time.Duration) (seq uint64, err error) {
	m := nats.NewMsg(subject)
	m.Header.Set("Nats-Expected-Last-Subject-Sequence", fmt.Sprint(expected))
	m.Data = []byte(fmt.Sprintf("after %d", expected))
	r, err := nc.RequestMsg(m, timeout)
	if err != nil {
		return 0, err
	}
	var ack struct {
		Seq   uint64
		Error *struct {
			Code        int `json:"err_code"`
			Description string
		}
	}
	if err := json.Unmarshal(r.Data, &ack); err != nil {
		return 0, err
	}
	if ack.Error != nil {
		return 0, fmt.Errorf("%d %s", ack.Error.Code, ack.Error.Description)
	}
	return ack.Seq, nil
}

// lastSeq asks the leader of a stream for the sequence of a record.
func lastSeq(nc *nats.Conn, stream, subject string, timeout time.Duration) (uint64, error) {
	r, err := nc.Request("$JS.API.STREAM.MSG.GET."+stream, []byte(`{"last_by_subj":"`+subject+`"}`), timeout)
	if err != nil {
		return 0, err
	}
	var got struct {
		Message struct{ Seq uint64 }
		Error   *struct{ Description string }
	}
	if err := json.Unmarshal(r.Data, &got); err != nil {
		return 0, err
	}
	if got.Error != nil {
		return 0, fmt.Errorf("get %s: %s", subject, got.Error.Description)
	}
	return got.Message.Seq, nil
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// lines counts log lines that hold a text.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, string(b))
	return len(b), nil
}

func (l *lines) with(part string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.text {
		n += strings.Count(s, part)
	}
	return n
}

func (l *lines) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level}))
}
