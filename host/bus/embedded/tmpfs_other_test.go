//go:build !linux

package embedded

import "testing"

func tmpfs(t *testing.T, _, _ string) {
	t.Helper()
	t.Skip("a tmpfs is mounted on Linux only")
}
