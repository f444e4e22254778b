//go:build unix

package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Links and pipes in a folder are refused, and a pipe does not hold the reader
// up.
func TestFolderOfLinks(t *testing.T) {
	dir := folder(t, source, "x")
	file := filepath.Join(dir, "webhook.wasm")
	if err := errors.Join(os.Remove(file), os.Symlink("/etc/hostname", file)); err != nil {
		t.Fatal(err)
	}
	refuse(t, "a link", dir, pluginapi.ErrInvalid)
	if err := errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o600)); err != nil {
		t.Fatal(err)
	}
	refuse(t, "a pipe", dir, pluginapi.ErrInvalid)
	refuse(t, "a pipe as package", file, pluginapi.ErrInvalid)
}
