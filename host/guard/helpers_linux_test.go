package guard

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must happen; the machine is noisy.
const patience = 15 * time.Second

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// during checks that the condition holds all the time.
func during(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(d)
	for {
		if !ok() {
			t.Fatal(what)
		}
		select {
		case <-tick.C:
		case <-end:
			return
		}
	}
}

// cgroupBase makes a folder of the test's own in the machine's cgroup v2.
func cgroupBase(t testing.TB) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("control groups: must be root")
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		lacking(t, "control groups: ", err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 4 && strings.Contains(line, " - cgroup2 ") {
			base, err := os.MkdirTemp(f[4], "gctest-")
			if err != nil {
				lacking(t, "control groups: ", err)
			}
			if _, err := os.Stat(base + "/cgroup.kill"); err != nil {
				_ = os.Remove(base)
				lacking(t, "control groups: ", err)
			}
			t.Cleanup(func() {
				_ = writeFile(base+"/cgroup.kill", "1")
				eventually(t, "remove "+base, func() bool { return cgroupTarget(base).remove() == nil })
			})
			return base
		}
	}
	lacking(t, "control groups: no cgroup v2 is mounted")
	return ""
}

// testbed is one host with its watchman, its store and its tree of processes.
type testbed struct {
	testing.TB
	fileStore
	cgroup string
	cmd    *exec.Cmd
	in     io.Writer
	said   chan string
	waited chan struct{}
	pidfds map[int]int
}

func newBed(t testing.TB, base string) *testbed {
	t.Helper()
	b := &testbed{TB: t, fileStore: fileStore{t.TempDir()}, said: make(chan string, 100), waited: make(chan struct{}), pidfds: map[int]int{}}
	if base != "" {
		b.cgroup = base + "/" + filepath.Base(filepath.Dir(b.dir)) + filepath.Base(b.dir)
	}
	return b
}

// start starts the host and waits until it is watched.
func (b *testbed) start() {
	b.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	b.cmd = exec.Command(exe, "gc-host", b.dir, b.cgroup)
	b.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // the race detector's way to end takes a second
	b.in, _ = b.cmd.StdinPipe()
	out, _ := b.cmd.StdoutPipe()
	b.cmd.Stderr = os.Stderr
	if err := b.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(out); s.Scan(); {
			b.said <- s.Text()
		}
	}()
	go func() {
		<-read
		_ = b.cmd.Wait()
		close(b.waited)
	}()
	b.Cleanup(b.end)
	b.expect("ready")
}

// end ends what a test left: the host if it is there, and then, by itself, the
// watchman.
func (b *testbed) end() {
	select {
	case <-b.waited:
	default:
		b.find()
		_ = b.cmd.Process.Kill()
		<-b.waited
	}
	if !b.Failed() {
		for pid := range b.pidfds {
			b.over(pid)
		}
	}
	for pid, fd := range b.pidfds {
		if b.Failed() {
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
			b.Logf("watchman %d", pid)
		}
		_ = unix.Close(fd)
	}
	if b.Failed() {
		log, _ := os.ReadFile(b.dir + "/log")
		b.Logf("watchman's log:\n%s\nevents: %+v", log, b.events())
		for _, pid := range tree(b.dir) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

func (b *testbed) say(format string, args ...any) {
	b.Helper()
	if _, err := fmt.Fprintf(b.in, format+"\n", args...); err != nil {
		b.Fatal(err)
	}
}

// expect takes the next line of the host, which must begin so.
func (b *testbed) expect(prefix string) string {
	b.Helper()
	select {
	case s := <-b.said:
		if !strings.HasPrefix(s, prefix) {
			b.Fatalf("host said %q, want %q", s, prefix)
		}
		return s
	case <-time.After(patience):
		b.Fatalf("host did not say %q within %v", prefix, patience)
	}
	return ""
}

// work makes the host renew a lease and run a service.
func (b *testbed) work(inc uint64, ttl time.Duration) {
	b.Helper()
	b.say("lease %d %d", inc, ttl.Milliseconds())
	b.expect(fmt.Sprint("lease ", inc))
	b.serve()
}

// hold is work under a lease that has no deadline: for tests in which only the
// host's death counts, on a machine that may stand still for long.
func (b *testbed) hold(inc uint64, ttl time.Duration) {
	b.Helper()
	b.say("hold %d %d", inc, ttl.Milliseconds())
	b.expect(fmt.Sprint("hold ", inc))
	b.serve()
}

// serve starts the service as a backend is started: its fence first.
func (b *testbed) serve() {
	b.Helper()
	b.say("fences")
	b.expect("fences true")
	b.say("tree")
	b.expect("tree <nil>")
	eventually(b, "tree of 26 processes", b.whole)
}

// whole says whether all of the service lives. (Its environments are no help:
// they are not there while a process is about to exec.)
func (b *testbed) whole() bool { return len(cgroupTarget(b.cgroup).pids()) == 26 }

func (b *testbed) signal(pid int, s unix.Signal) {
	b.Helper()
	if err := unix.Kill(pid, s); err != nil {
		b.Fatal(err)
	}
}

// watchman finds the host's watchman and keeps a handle on it.
func (b *testbed) watchman() int {
	b.Helper()
	found := 0
	eventually(b, "find the watchman", func() bool {
		found = b.find()
		return found != 0
	})
	return found
}

func (b *testbed) find() int {
	pids, _ := allPids()
	for _, pid := range pids {
		line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if !strings.HasSuffix(string(line), "\x00gc-watchman\x00") || parent(pid) != b.cmd.Process.Pid {
			continue
		}
		if _, ok := b.pidfds[pid]; ok {
			return pid
		}
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			b.pidfds[pid] = fd
			return pid
		}
	}
	return 0
}

func parent(pid int) int {
	stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, rest, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	if len(f) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(f[1])
	return ppid
}

// over waits until the watchman has ended.
func (b *testbed) over(pid int) {
	b.Helper()
	eventually(b, "end of the watchman", func() bool { return dead(b.pidfds[pid]) })
}

func (b *testbed) events() []event {
	var all []event
	log, _ := os.ReadFile(b.dir + "/events")
	for line := range strings.Lines(string(log)) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err == nil {
			all = append(all, e)
		}
	}
	return all
}

func (b *testbed) count(what string) int {
	n := 0
	for _, e := range b.events() {
		if e.What == what {
			n++
		}
	}
	return n
}

func (b *testbed) await(what string, n int) {
	b.Helper()
	eventually(b, fmt.Sprint(n, " times ", what), func() bool { return b.count(what) >= n })
}

// order checks the events, looks without a result aside, and that no process of the tree was
// alive at any of them.
func (b *testbed) order(want ...string) {
	b.Helper()
	var got []string
	for _, e := range b.events() {
		if e.Alive != 0 {
			b.Errorf("%d processes were alive at %+v", e.Alive, e)
		}
		if e.What != "recheck" && e.What != "replaced" {
			got = append(got, e.What)
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		b.Errorf("events %v, want %v", got, want)
	}
}

// lacking skips a test for want of what the kernel has to offer. Where changes
// are checked, as root, it is a failure: there the test must run.
func lacking(t testing.TB, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" && os.Getuid() == 0 {
		t.Fatal(args...)
	}
	t.Skip(args...)
}
