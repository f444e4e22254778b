package backend

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// The probe sees that behaviour, where a kernel has it.
func TestProbeOfAKilledControlGroup(t *testing.T) {
	base, err := controlGroups()
	if err != nil {
		lacking(t, "needs control groups: ", err)
	}
	folder := filepath.Join(base, fmt.Sprintf("_test.%d", os.Getpid()))
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(folder)
	dir, err := os.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := probeClone(dir); err != nil {
		t.Error(err)
	}
	if err := killControlGroup(dir, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := probeClone(dir); err != nil && !strings.Contains(err.Error(), "killed at its birth") {
		t.Error(err)
	}
}

// An ordinary user has control groups where they were delegated.
func TestDelegatedControlGroup(t *testing.T) {
	mount, err := findMount("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
	if err != nil || os.Getuid() != 0 {
		lacking(t, "needs root and cgroup v2: ", err)
	}
	folder := filepath.Join(mount, fmt.Sprintf("gctest-%d", os.Getpid()))
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, f := range []string{filepath.Join(folder, "gchost"), folder} {
			if err := os.Remove(f); err != nil {
				t.Error(err)
			}
		}
	})
	const nobody = 65534
	for _, name := range []string{"", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"} {
		if err := os.Chown(filepath.Join(folder, name), nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	exe, err := os.Open("/proc/self/exe") // its path may not be nobody's to walk
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	cmd := exec.Command("/proc/self/fd/3")
	cmd.ExtraFiles, cmd.Dir = []*os.File{exe}, "/"
	cmd.Env = append(os.Environ(), partVar+"=delegated", "GCTEST_FOLDER="+folder, "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		UseCgroupFD: true, CgroupFD: int(dir.Fd()), Credential: &syscall.Credential{Uid: nobody, Gid: nobody},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// playDelegated is the test above, as nobody.
func playDelegated() int {
	os.Unsetenv(partVar)
	p := NewProcess(ProcessConfig{Command: "sleep", Args: []string{"1000"}})
	ctx, cancel := contextFor(10 * time.Second)
	defer cancel()
	fences, err := p.Bind(pluginapi.Instance{Platform: "p", Node: "n", App: "a"})
	want := os.Getenv("GCTEST_FOLDER") + "/gchost/p.n.a"
	if err != nil || fences[0].Name != want {
		fmt.Println("fences:", fences, err, p.IsolationReason())
		return 1
	}
	if err := p.Start(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	procs, _ := os.ReadFile(filepath.Join(want, nestName, "cgroup.procs"))
	if err := p.Stop(ctx); err != nil || strings.TrimSpace(string(procs)) == "" {
		fmt.Println("procs:", string(procs), err)
		return 1
	}
	if _, err := os.Stat(want); err == nil {
		fmt.Println("the folder is left")
		return 1
	}
	return 0
}

// Without control groups the reason is told, and the mark is the only fence.
func TestProbeSaysWhyNot(t *testing.T) {
	if err := probe(filepath.Join(t.TempDir(), "gchost")); err == nil || !strings.Contains(err.Error(), "cgroup.kill") {
		t.Errorf("probe of an ordinary folder: %v", err)
	}
	if _, err := findMount(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no cgroup v2") {
		t.Errorf("an ordinary folder as a mount: %v", err)
	}
	p := NewProcess(actor(t, "polite"))
	if p.Isolation() != IsolationProcessGroup || p.IsolationReason() == "" {
		t.Errorf("not bound: %s, %s", p.Isolation(), p.IsolationReason())
	}
}
