package guard

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

func cgroupFence(name string) pluginapi.Fence {
	return pluginapi.Fence{Kind: pluginapi.FenceCgroup, Name: name}
}

func envFence(name string) pluginapi.Fence {
	return pluginapi.Fence{Kind: pluginapi.FenceEnv, Name: name}
}

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// start starts a tree and reaps its first process when it ends.
func start(t testing.TB, id, cgroup, mark string) {
	t.Helper()
	cmd, err := startTree(id, cgroup, mark)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		for _, pid := range tree(id) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		<-done
	})
	eventually(t, "tree of 26 processes", func() bool { return len(tree(id)) >= 26 })
}

// A control group is killed with all below it and its folder removed, so that a
// host that had it open cannot put a process into it any more.
func TestKillCgroup(t *testing.T) {
	base := cgroupBase(t)
	group := base + "/app"
	for _, d := range []string{group, group + "/a", group + "/a/b"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := os.Open(group)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	start(t, t.TempDir(), group+"/a/b", "")
	outer := t.TempDir()
	start(t, outer, group, "")
	bystander := t.TempDir()
	start(t, bystander, base+"/other", "")
	if err := Kill(patient(t), []pluginapi.Fence{cgroupFence(group), cgroupFence(group + "/a")}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(group); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
	if n := len(tree(outer)); n != 0 {
		t.Errorf("%d processes are alive", n)
	}
	if n := len(tree(bystander)); n < 26 {
		t.Errorf("a neighbour was killed: %d of 26 processes are alive", n)
	}
	late := exec.Command("/bin/sleep", "1000")
	late.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(folder.Fd())}
	if err := late.Start(); err == nil {
		_ = late.Process.Kill()
		_ = late.Wait()
		t.Error("a process could be started in the removed control group")
	}
	if err := Kill(patient(t), []pluginapi.Fence{cgroupFence(group), cgroupFence(base + "/never/was")}); err != nil {
		t.Errorf("killing what is not there: %v", err)
	}
}

// The way for kernels without cgroup.kill.
func TestKillCgroupOneByOne(t *testing.T) {
	base, id := cgroupBase(t), t.TempDir()
	group := cgroupTarget(base + "/app")
	start(t, id, string(group), "")
	eventually(t, "tree dead", func() bool {
		group.killEach()
		return len(tree(id)) == 0
	})
	eventually(t, "group removed", func() bool { return group.remove() == nil })
}

// A mark finds every process that was started with it, wherever it went; not the
// caller, and not one whose mark only looks alike.
func TestKillMark(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("marks: must be root")
	}
	const own = "GCHOST_INSTANCE=tp.tn.app"
	t.Setenv("GCHOST_INSTANCE", "tp.tn.app") // of this process too, as far as children see
	marked, longer, other := t.TempDir(), t.TempDir(), t.TempDir()
	start(t, marked, "", own)
	start(t, longer, "", own+"2")
	start(t, other, "", "GCHOST_INSTANCE=tp.tn.other")
	if err := Kill(patient(t), []pluginapi.Fence{envFence(own)}); err != nil {
		t.Fatal(err)
	}
	if n := len(tree(marked)); n != 0 {
		t.Errorf("%d processes are alive", n)
	}
	for _, id := range []string{longer, other} {
		if n := len(tree(id)); n < 26 {
			t.Errorf("a stranger was killed: %d of 26 processes are alive", n)
		}
	}
}

// A process that forks all the time cannot run away from the scan.
func TestKillMarkOfAForkingProcess(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("marks: must be root")
	}
	id := t.TempDir()
	cmd := exec.Command("/bin/sh", "-c", `run() { (run) & sleep 0.01; exit; }; run`)
	cmd.Env = append(os.Environ(), "GC_TREE="+id, "GCHOST_INSTANCE=tp.tn.forker")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the first is long gone when we begin
	if len(tree(id)) == 0 {
		t.Skip("the forking process did not survive by itself")
	}
	if err := Kill(patient(t), []pluginapi.Fence{envFence("GCHOST_INSTANCE=tp.tn.forker")}); err != nil {
		t.Fatal(err)
	}
	during(t, 100*time.Millisecond, "a process has escaped", func() bool { return len(tree(id)) == 0 })
}

// A process that has ended between the listing and the look at it may have forked
// in between, also if it is a zombie by then: nothing is over before a listing
// that leaves no such question.
func TestKillMarkLooksAgainAfterAProcessHasGone(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("marks: must be root")
	}
	for _, parent := range []string{"gone", "zombie"} {
		first := exec.Command("/bin/true")
		if err := first.Start(); err != nil {
			t.Fatal(err)
		}
		pid := first.Process.Pid
		if parent == "gone" {
			_ = first.Wait()
		} else {
			eventually(t, "zombie", func() bool { return (&looker{}).at(pid) == ended })
			defer func() { _ = first.Wait() }()
		}
		child := exec.Command("/bin/sleep", "1000")
		child.Env = []string{"GCHOST_INSTANCE=tp.tn.child"}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		dead := make(chan struct{})
		go func() { defer close(dead); _ = child.Wait() }()
		m := newMarkTarget([]string{"GCHOST_INSTANCE=tp.tn.child"})
		lists := 0
		m.list = func() ([]int, error) {
			if lists++; lists == 1 {
				return []int{pid}, nil
			}
			all, err := allPids()
			return slices.DeleteFunc(all, func(p int) bool { return p != pid && p != child.Process.Pid }), err
		}
		if err := killTargets(patient(t), []target{m}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-dead:
		case <-time.After(patience):
			_ = child.Process.Kill()
			t.Errorf("%s parent: the child was not found", parent)
		}
	}
}

// A fence is the name of a victim: what could be a stranger is refused, and the
// others are killed all the same.
func TestKillRefuses(t *testing.T) {
	base := cgroupBase(t)
	root := cgroupRoot(base)
	folder := t.TempDir()
	link := folder + "/link"
	if err := os.Symlink(base, link); err != nil {
		t.Fatal(err)
	}
	bad := []pluginapi.Fence{
		{}, {Kind: "pid", Name: "1"},
		cgroupFence(""), cgroupFence("app"), cgroupFence("./app"), cgroupFence("/"), cgroupFence(root), cgroupFence(ownCgroup(root)),
		cgroupFence(root + "/../unified"), cgroupFence(base + "/.."), cgroupFence(base + "/../x"), cgroupFence(base + "/"),
		cgroupFence(base + "//app"), cgroupFence(base + "/./app"), cgroupFence(base + "/a\x00b"),
		cgroupFence("/etc"), cgroupFence("/no/such/folder"), cgroupFence(folder), cgroupFence("/proc/1"),
		cgroupFence(link), cgroupFence(link + "/app"), cgroupFence(base + "/cgroup.procs/x"),
		envFence(""), envFence("PATH=/bin"), envFence("GCHOST_INSTANCE"), envFence("GCHOST_INSTANCE="), envFence("GCHOST_INSTANCE=.."),
		envFence("GCHOST_INSTANCE=p.n"), envFence("GCHOST_INSTANCE=p.n.a.b"), envFence("GCHOST_INSTANCE=p.n."), envFence("GCHOST_INSTANCE=p.n.*"),
		envFence("GCHOST_INSTANCE=p.n.a\x00X=1"), envFence("gchost_instance=p.n.a"), envFence(" GCHOST_INSTANCE=p.n.a"), envFence("GCHOST_PLUGIN=p.n"), envFence("GCHOST_PLUGINS=p.n.a"),
		envFence("GCHOST_INSTANCE=p.n." + strings.Repeat("a", pluginapi.MaxName+1)),
	}
	for _, f := range bad {
		if err := checkFence(f); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%s %q: got %v, want ErrInvalid", f.Kind, f.Name, err)
		}
	}
	id := t.TempDir()
	start(t, id, base+"/app", "")
	err := Kill(patient(t), append(bad, cgroupFence(base+"/app")))
	if !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	if n := len(tree(id)); n != 0 {
		t.Errorf("the accepted fence was not killed: %d processes are alive", n)
	}
}

// The group that the caller lives in is refused, also by the name of one above.
func TestKillRefusesItsOwnGroup(t *testing.T) {
	base := cgroupBase(t)
	inner := base + "/a/b"
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	home := ownCgroup(cgroupRoot(base))
	if err := writeFile(inner+"/cgroup.procs", "0"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := writeFile(home+"/cgroup.procs", "0"); err != nil {
			t.Fatal(err)
		}
	}()
	for _, name := range []string{inner, base + "/a", base} {
		if err := Kill(patient(t), []pluginapi.Fence{cgroupFence(name)}); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if err := checkFence(cgroupFence(base + "/ab")); err != nil {
		t.Errorf("a group beside it: %v", err)
	}
}

// immortal is what no kill ends.
type immortal struct{ struck, closed int }

func (i *immortal) strike() (bool, error) { i.struck++; return false, errors.New("busy") }
func (i *immortal) left() string          { return "cgroup /x (1 processes 7)" }
func (i *immortal) close()                { i.closed++ }

// The context bounds Kill, and the error names what lives.
func TestKillNamesWhatStillLives(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	var x immortal
	err := killTargets(ctx, []target{&x})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), x.left()) || !strings.Contains(err.Error(), "busy") {
		t.Errorf("got %v", err)
	}
	if x.struck < 3 {
		t.Errorf("struck %d times, want again and again", x.struck)
	}
}

func TestKillStillLooksWhenItsTimeIsOver(t *testing.T) {
	base, id := cgroupBase(t), t.TempDir()
	start(t, id, base+"/app", "")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Kill(ctx, []pluginapi.Fence{cgroupFence(base + "/app")}); err != nil && !strings.Contains(err.Error(), base+"/app") {
		t.Errorf("got %v, want the group's name in it", err)
	}
	eventually(t, "tree dead", func() bool { return len(tree(id)) == 0 })
}
