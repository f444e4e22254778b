package cluster_test

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// TestNetns tries every fault of testenv/netns.sh, the network that the tests
// with real processes use: a fault that does not happen would prove nothing.
func TestNetns(t *testing.T) {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("network namespaces need Linux and root")
	}
	must := t.Skip // on one's own machine; where changes are checked it fails
	if os.Getenv("CI") == "true" {
		must = t.Fatal
	}
	for _, tool := range []string{"ip", "nft", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			must(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "unshare", "--net", "true").CombinedOutput(); err != nil {
		must("this root may not make a network namespace: ", err, string(out))
	}
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "testenv/netns.sh", "selftest").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
