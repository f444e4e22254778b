package embedded

import (
	"strings"
	"syscall"
	"testing"
)

// tmpfs mounts one on a folder for the time of the test.
func tmpfs(t *testing.T, dir, options string) {
	t.Helper()
	flags := uintptr(0)
	if strings.Contains(options, "ro") {
		flags, options = syscall.MS_RDONLY, ""
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		t.Skipf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}
