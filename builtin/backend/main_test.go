package backend

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is also the service under test: with this variable set it
// plays the part that the variable names.
const partVar = "GCTEST_PART"

func TestMain(m *testing.M) {
	if part := os.Getenv(partVar); part != "" {
		os.Exit(play(part, os.Args[1:]))
	}
	code := m.Run()
	endFixtures()
	os.Exit(code)
}

func play(part string, args []string) int {
	terms := make(chan os.Signal, 8)
	switch part {
	case "polite": // ends when it is asked to
		signal.Notify(terms, syscall.SIGTERM)
		fmt.Println("ready")
		<-terms
		fmt.Println("bye")
		return 0
	case "stubborn": // does not
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		<-time.After(time.Hour)
	case "crash": // ends by itself
		fmt.Fprintln(os.Stderr, "cannot open the shop")
		return 3
	case "http": // args: address, and how long it takes to listen
		wait, _ := time.ParseDuration(args[1])
		<-time.After(wait)
		return serve(args[0])
	case "lines": // args: count, length
		return writeLines(args)
	case "env":
		for _, e := range os.Environ() {
			fmt.Println(e)
		}
		fmt.Println("ready")
		<-time.After(time.Hour)
	}
	return playLinux(part, terms)
}

// serve answers 200 until /break is asked for, 500 then.
func serve(address string) int {
	broken := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/break", func(http.ResponseWriter, *http.Request) { close(broken) })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-broken:
			w.WriteHeader(http.StatusInternalServerError)
		default:
		}
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe(address, mux))
	return 1
}

// writeLines writes numbered lines of a length, then "written", and waits.
func writeLines(args []string) int {
	count, _ := strconv.Atoi(args[0])
	length, _ := strconv.Atoi(args[1])
	out := bufio.NewWriter(os.Stdout)
	for i := range count {
		head := fmt.Sprintf("line %d ", i)
		fmt.Fprintln(out, head+strings.Repeat("x", max(0, length-len(head))))
	}
	out.Flush()
	if len(args) > 2 {
		if err := os.WriteFile(args[2], []byte("written"), 0o600); err != nil {
			return 1
		}
	}
	fmt.Println("written")
	<-time.After(time.Hour)
	return 0
}

// spawn starts a program that outlives its starter's attention.
func spawn(attr *syscall.SysProcAttr, argv ...string) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = attr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(9)
	}
}

// actor is the configuration of a service that plays a part.
func actor(t *testing.T, part string, args ...string) ProcessConfig {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return ProcessConfig{
		Command: exe, Args: args,
		// A program built with -race sleeps for a second at its exit.
		Env: []string{partVar + "=" + part, "GCTEST_MARK=" + markOf(t), "GORACE=atexit_sleep_ms=0"},
	}
}

// markOf is what all processes of a test have in their environment.
func markOf(t *testing.T) string { return fmt.Sprintf("%d-%s", os.Getpid(), t.Name()) }

// contextFor is for what must also work after the test's own context has ended.
func contextFor(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// until waits for a condition. The bound is wide: the machine may be busy.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not so after 20 s: %s", what)
		}
	}
}

// hearing makes a config deliver its lines to a channel.
func hearing(cfg *ProcessConfig) <-chan string {
	lines := make(chan string, 10000)
	cfg.OutputHandler = func(line string, stderr bool) { lines <- line }
	return lines
}

// receive takes what must come.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came in 20 s")
		panic("unreachable")
	}
}

// await reads lines until one is the wanted one.
func await(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	for receive(t, lines) != want {
	}
}

// started returns a running service that the test's end stops.
func started(t *testing.T, cfg ProcessConfig) *ProcessBackend {
	t.Helper()
	p := NewProcess(cfg)
	t.Cleanup(func() { mustStop(t, p) })
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// mustStop stops a service; nothing of the test may run after it.
func mustStop(t *testing.T, p *ProcessBackend) {
	t.Helper()
	ctx, cancel := contextFor(10 * time.Second)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
	if n := len(living(markOf(t))); n > 0 {
		t.Errorf("%d processes live after Stop", n)
	}
	if h := health(t, p); h.Status != "stopped" || p.PID() != 0 {
		t.Errorf("after Stop: %+v, pid %d", h, p.PID())
	}
}

func health(t *testing.T, p *ProcessBackend) Health {
	t.Helper()
	h, err := p.Health(t.Context())
	if err != nil {
		t.Error(err)
	}
	return h
}

// failure waits for the error on Failed.
func failure(t *testing.T, p *ProcessBackend) error {
	t.Helper()
	return receive(t, p.Failed())
}
