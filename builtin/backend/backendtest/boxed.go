package backendtest

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BuildBoxed builds the service of the tests, a static program, into a folder
// and returns its path.
func BuildBoxed(dir string) (string, error) {
	out := filepath.Join(dir, "boxed")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "github.com/ozanturksever/go-cluster/builtin/backend/backendtest/boxed")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build boxed: %w: %s", err, text)
	}
	return out, nil
}

// image returns the file system of an image with a program as /boxed.
func image(program string) ([]byte, error) {
	text, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Name: "boxed", Mode: 0o755, Size: int64(len(text))}); err != nil {
		return nil, err
	}
	_, err = w.Write(text)
	return out.Bytes(), errors.Join(err, w.Close())
}
