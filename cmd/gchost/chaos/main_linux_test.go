package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	cluster "github.com/ozanturksever/go-cluster"
	"golang.org/x/sys/unix"
)

// The roles in which this binary is started again by its tests, as its first
// argument.
const (
	roleActor   = "chaos-actor"
	roleHook    = "chaos-hook"
	roleLibrary = "chaos-library"
	roleNATS    = "chaos-nats"
	roleRows    = "chaos-rows"
)

// gchost is the binary under test, built once.
var gchost string

// missing says why the tests with faults cannot run here; "" if they can.
var missing string

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		role, is := map[string]func() error{roleActor: runActor, roleHook: runHook, roleLibrary: runLibrary, roleNATS: runNATS, roleRows: runRows}[os.Args[1]]
		switch {
		case is:
			if err := role(); err != nil {
				fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
				os.Exit(1)
			}
			return
		case os.Args[1] == "guard":
			os.Exit(cluster.GuardMain())
		}
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	missing = lacks()
	if missing == "" {
		dir, err := os.MkdirTemp("", "chaos-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		gchost = filepath.Join(dir, "gchost")
		build := exec.Command("go", "build", "-o", gchost, "github.com/ozanturksever/go-cluster/cmd/gchost")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build gchost: %v\n%s", err, out)
			return 1
		}
	}
	return m.Run()
}

// lacks says what of the tests' needs is not there.
func lacks() string {
	if os.Getuid() != 0 {
		return "root is needed for network namespaces"
	}
	for _, tool := range []string{"ip", "nft", "nsenter", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			return err.Error()
		}
	}
	if out, err := exec.Command("unshare", "--net", "true").CombinedOutput(); err != nil {
		return fmt.Sprintf("this root may not make a network namespace: %v %s", err, out)
	}
	if cgroupMount() == "" {
		return "no cgroup v2 is mounted"
	}
	return ""
}

// cgroupMount is where the cgroup v2 is; "" if there is none.
func cgroupMount() string {
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			return dir
		}
	}
	return ""
}

// need skips where the faults cannot be made. Where changes are checked that is
// a failure, unless there is no root: then all such tests skip.
func need(t *testing.T) {
	t.Helper()
	switch {
	case missing == "":
	case os.Getenv("CI") == "true" && os.Getuid() == 0:
		t.Fatal(missing)
	default:
		t.Skip(missing)
	}
}

// long says whether the tests may take their time.
func long() bool { return os.Getenv("CHAOS") == "long" }

// times is how often something is done, short or long.
func times(short, lengthy int) int {
	if long() {
		return lengthy
	}
	return short
}
