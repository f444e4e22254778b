package exec

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// maxBinary is the largest binary that is run, in bytes.
const maxBinary = 500 << 20

// install copies the binary into a folder of the instance's own, checks it, and
// writes down what is to be killed with it.
func (i *Instance) install() error {
	if err := os.Mkdir(i.dir, 0o700); err != nil {
		return fmt.Errorf("make folder of plugin: %w", err)
	}
	if err := copyFile(i.binary(), i.artifact.Path); err != nil {
		return fmt.Errorf("copy binary: %w", err)
	}
	if err := i.verify(); err != nil {
		return err
	}
	if err := checkProgram(i.binary(), i.artifact.Path); err != nil {
		return err
	}
	b, err := json.Marshal(i.Fences())
	if err != nil {
		return fmt.Errorf("write down fences: %w", err)
	}
	if err := os.WriteFile(filepath.Join(i.dir, fencesName), b, 0o600); err != nil {
		return fmt.Errorf("write down fences: %w", err)
	}
	return nil
}

func (i *Instance) uninstall() error { return os.RemoveAll(i.dir) }

func (i *Instance) binary() string { return filepath.Join(i.dir, i.artifact.Name) }

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() || st.Size() > maxBinary {
		return fmt.Errorf("%w: %s: give a regular file of at most %d bytes", pluginapi.ErrInvalid, from, maxBinary)
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o500)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(in, maxBinary+1))
	if n > maxBinary && err == nil {
		err = fmt.Errorf("%w: %s grew beyond %d bytes", pluginapi.ErrInvalid, from, maxBinary)
	}
	return errors.Join(err, out.Close())
}

// verify compares the copy with the digest. Nobody else can change it between
// this and the start: nobody else can get into its folder.
func (i *Instance) verify() error {
	f, err := os.Open(i.binary())
	if err != nil {
		return fmt.Errorf("verify binary: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("verify binary: %w", err)
	}
	if got := h.Sum(nil); !bytes.Equal(got, i.artifact.Digest[:]) {
		return fmt.Errorf("verify binary: %w: %s has the SHA-256 %x, not %x: it was changed after it was installed; install it again",
			pluginapi.ErrInvalid, i.artifact.Path, got, i.artifact.Digest)
	}
	return nil
}

// machines are the names that Go and ELF have for one processor.
var machines = map[string]elf.Machine{
	"386": elf.EM_386, "amd64": elf.EM_X86_64, "arm": elf.EM_ARM, "arm64": elf.EM_AARCH64,
	"loong64": elf.EM_LOONGARCH, "ppc64le": elf.EM_PPC64, "riscv64": elf.EM_RISCV, "s390x": elf.EM_S390,
}

// checkProgram refuses what this machine cannot run, before it is tried.
// Elsewhere than on Linux the start tells.
func checkProgram(path, name string) error {
	want, known := machines[runtime.GOARCH]
	if runtime.GOOS != "linux" || !known {
		return nil
	}
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %s is no program for %s/%s: %w: build it with GOOS=%s GOARCH=%s",
			pluginapi.ErrInvalid, name, runtime.GOOS, runtime.GOARCH, err, runtime.GOOS, runtime.GOARCH)
	}
	defer f.Close()
	if f.Machine != want || f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return fmt.Errorf("%w: %s is a %v for %v, this node is %s/%s: install the binary for that",
			pluginapi.ErrInvalid, name, f.Type, f.Machine, runtime.GOOS, runtime.GOARCH)
	}
	return nil
}
