package guard

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/clock"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// The test binary is also the watchman and the host of the tests with real
// processes.
func TestMain(m *testing.M) {
	role := ""
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	switch role {
	case "gc-watchman":
		os.Exit(watchmanRole())
	case "gc-host":
		os.Exit(hostRole(os.Args[2], os.Args[3]))
	case "gc-refuser": // a guard of another release
		b, _ := encode(message{Kind: kindHello, Version: version + 1, Error: "speaks another protocol"})
		_, _ = os.NewFile(fdOut, "out").Write(b)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

func watchmanRole() int {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	var store fileStore
	code := Main(context.Background(), os.NewFile(fdIn, "in"), func(_ context.Context, i Init) (Store, error) {
		if err := json.Unmarshal(i.Store, &store.dir); err != nil {
			return nil, err
		}
		if store.has("nodial") {
			return nil, errors.New("no server")
		}
		return &store, nil
	}, log)
	if store.dir != "" {
		store.note(event{What: "exit", Code: code})
	}
	return code
}

// fileStore is a store in a folder: the record, a log of what was asked, and
// files whose presence makes it misbehave.
type fileStore struct{ dir string }

// record is the session record.
type record struct {
	Inc   uint64
	State string
}

// event is one thing that the store was asked.
type event struct {
	What     string // release, recheck, gone, exit
	At       int64  // when it was asked, of package clock
	Inc      uint64
	Deadline int64
	Alive    int // processes of the host's tree that lived at that moment
	Code     int
}

func (s *fileStore) has(what string) bool {
	_, err := os.Stat(s.dir + "/" + what)
	return err == nil
}

func (s *fileStore) note(e event) {
	if e.At == 0 {
		e.At = clock.Now().UnixNano()
	}
	b, _ := json.Marshal(e)
	f, err := os.OpenFile(s.dir+"/events", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if _, err := f.Write(append(b, '\n')); err != nil {
		panic(err)
	}
}

func (s *fileStore) get() record {
	var r record
	b, _ := os.ReadFile(s.dir + "/record")
	_ = json.Unmarshal(b, &r)
	return r
}

func (s *fileStore) put(r record) {
	b, _ := json.Marshal(r)
	tmp := s.dir + "/record.new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(tmp, s.dir+"/record"); err != nil {
		panic(err)
	}
}

func (s *fileStore) Release(ctx context.Context, l Lease) error {
	e := event{What: "release", At: clock.Now().UnixNano(), Inc: l.Inc, Deadline: l.Deadline, Alive: len(tree(s.dir))}
	switch {
	case s.has("hang"):
		s.note(event{What: "hang", Alive: e.Alive, Inc: l.Inc})
		select {} // not even the context helps
	case s.has("down"):
		s.note(event{What: "down", Alive: e.Alive, Inc: l.Inc})
		return errors.New("no responders")
	}
	switch r := s.get(); {
	case r.Inc > l.Inc:
		s.note(event{What: "replaced", Inc: l.Inc})
		return ErrReplaced
	case r.Inc == l.Inc && r.State == "live":
		s.put(record{l.Inc, "released"})
	default:
		e.What = "recheck"
	}
	s.note(e)
	return nil
}

func (s *fileStore) Gone(_ context.Context, l Lease) error {
	s.note(event{What: "gone", Inc: l.Inc})
	return nil
}

func (s *fileStore) Close() error { return nil }

// tree lists the living processes that carry GC_TREE=id. It looks by itself, not
// with the code under test.
func tree(id string) []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	want := []byte("GC_TREE=" + id + "\x00")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if err == nil && bytes.Contains(b, want) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// startTree starts a service of 26 processes, 10 of them in sessions of their own.
func startTree(id, cgroup, mark string) (*exec.Cmd, error) {
	script := "for i in 1 2 3 4 5; do sleep 1000 & setsid sleep 1001 & (setsid sh -c 'sleep 1002 & sleep 1003 & wait') & done; wait"
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Env = append(os.Environ(), "GC_TREE="+id)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if mark != "" {
		cmd.Env = append(cmd.Env, mark)
	}
	if cgroup != "" {
		if err := os.Mkdir(cgroup, 0o755); err != nil && !os.IsExist(err) {
			return nil, err
		}
		folder, err := os.Open(cgroup)
		if err != nil {
			return nil, err
		}
		defer folder.Close()
		cmd.SysProcAttr.UseCgroupFD = true
		cmd.SysProcAttr.CgroupFD = int(folder.Fd())
	}
	return cmd, cmd.Start()
}

// hostRole is a host that does what stdin says and prints what happens.
func hostRole(dir, cgroup string) int {
	h := &testHost{dir: dir, cgroup: cgroup}
	storeInit, _ := json.Marshal(dir)
	g, err := New(Config{
		Command: []string{"/proc/self/exe", "gc-watchman"}, LogFile: dir + "/log",
		Init: Init{Platform: "p", Node: "n", Store: storeInit},
	})
	if err != nil {
		h.say("error", err)
		return 1
	}
	h.g = g
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { h.say("run", g.Run(ctx)) })
	all.Go(func() {
		for {
			select {
			case f := <-g.Fired():
				h.renew(Lease{})
				h.say("fired", f.Reason, f.Inc)
			case <-ctx.Done():
				return
			}
		}
	})
	<-g.Ready()
	h.say("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		h.obey(strings.Fields(lines.Text()))
	}
	stop()
	all.Wait()
	return 0
}

type testHost struct {
	dir, cgroup string
	g           *Guard
	out         sync.Mutex
	stopRenew   context.CancelFunc
	mu          sync.Mutex
}

func (h *testHost) say(words ...any) {
	h.out.Lock()
	defer h.out.Unlock()
	fmt.Println(words...)
}

func (h *testHost) obey(words []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	switch words[0] {
	case "lease": // incarnation, ttl in ms: renewed until told otherwise
		inc, _ := strconv.ParseUint(words[1], 10, 64)
		ms, _ := strconv.Atoi(words[2])
		(&fileStore{h.dir}).put(record{inc, "live"})
		ttl := time.Duration(ms) * time.Millisecond
		h.renew(Lease{Node: "n", Inc: inc, TTL: ttl, Margin: ttl / 10})
		h.say("lease", inc)
	case "hold": // incarnation, ttl in ms: a lease without a deadline
		inc, _ := strconv.ParseUint(words[1], 10, 64)
		ms, _ := strconv.Atoi(words[2])
		(&fileStore{h.dir}).put(record{inc, "live"})
		h.g.Renewed(Lease{Node: "n", Inc: inc, TTL: time.Duration(ms) * time.Millisecond})
		h.say("hold", inc)
	case "fences":
		err := h.g.Fences(ctx, h.fences())
		h.say("fences", err == nil, errors.Is(err, ErrFired), err)
	case "tree":
		cmd, err := startTree(h.dir, h.cgroup, "")
		if err == nil {
			go func() { _ = cmd.Wait() }()
		}
		h.say("tree", err)
	case "released":
		h.renew(Lease{})
		(&fileStore{h.dir}).put(record{1, "released"})
		h.g.Released()
		h.say("released")
	}
}

func (h *testHost) fences() []pluginapi.Fence {
	if h.cgroup == "" {
		return nil
	}
	return []pluginapi.Fence{{Kind: pluginapi.FenceCgroup, Name: h.cgroup}}
}

// renew renews a lease three times per TTL; an empty one ends the renewing.
func (h *testHost) renew(l Lease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopRenew != nil {
		h.stopRenew()
		h.stopRenew = nil
	}
	if l.Inc == 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.stopRenew = cancel
	go func() {
		tick := time.NewTicker(l.TTL / 3)
		defer tick.Stop()
		for ctx.Err() == nil {
			l.Seq++
			now := clock.Now().UnixNano()
			if l.Deadline != 0 && now > l.Deadline {
				return // what a host must do: a lease that is over is over
			}
			l.Deadline = now + int64(l.TTL)
			h.g.Renewed(l)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
}
