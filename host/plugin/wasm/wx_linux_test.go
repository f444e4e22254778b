package wasm

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ozanturksever/go-cluster/host/plugin"
)

// Of Linux 6.3, as systemd's MemoryDenyWriteExecute sets it.
const (
	prSetMDWE         = 65
	refuseToBecomeRun = 1
)

const confinedEnv = "GCHOST_TEST_CONFINED"

// TestWithoutExecutableMemory: where a process may not make memory executable,
// plugins are interpreted, and that is said once.
func TestWithoutExecutableMemory(t *testing.T) {
	if os.Getenv(confinedEnv) != "" {
		confined(t)
		return
	}
	cmd := exec.CommandContext(testContext(t), os.Args[0], "-test.run=^TestWithoutExecutableMemory$", "-test.v")
	cmd.Env = append(os.Environ(), confinedEnv+"=1")
	out, err := cmd.CombinedOutput()
	switch text := string(out); {
	case err != nil:
		t.Fatalf("%v\n%s", err, text)
	case strings.Contains(text, "--- SKIP"):
		t.Skip("this kernel cannot deny it: Linux 6.3 can")
	case !strings.Contains(text, "confined and well"):
		t.Fatal(text)
	}
}

func confined(t *testing.T) {
	if err := unix.Prctl(prSetMDWE, refuseToBecomeRun, 0, 0, 0); errors.Is(err, unix.EINVAL) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	var log journal
	r := newRuntime(t, Config{CacheDir: t.TempDir(), Logger: log.logger()})
	i := load(t, r, hook().bytes(), plugin.Options{})
	answers(t, i)
	answers(t, load(t, r, asks().bytes(), plugin.Options{}))
	if i.Stats().Mode != ModeInterpreted || strings.Count(log.String(), "plugins are interpreted") != 1 {
		t.Fatal(i.Stats(), log.String())
	}
	t.Log("confined and well")
}
