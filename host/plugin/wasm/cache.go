package wasm

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// sealName is the file of an entry that lists its other files with their
// SHA-256, in the form of sha256sum. It is written last: without it, or with
// another list, the entry is damaged. wazero guards the machine code with a
// checksum only, and the places where its functions begin with none.
const sealName = "seal"

// entry is the compiled code of one module: a folder of the cache, and what of it
// is in memory, for all instances.
type entry struct {
	digest [32]byte
	dir    string // "" without a cache on disk
	users  int    // of Runtime.mu

	mu     sync.Mutex        // one of them compiles; the others wait
	seal   map[string]string // file -> SHA-256
	cache  wazero.CompilationCache
	engine wazero.Runtime
	module wazero.CompiledModule
}

func entryName(digest [32]byte) string { return fmt.Sprintf("%x", digest) }

// entryOf returns the entry of a module, for one user more.
func (r *Runtime) entryOf(digest [32]byte) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[digest]
	if e == nil {
		e = &entry{digest: digest}
		if r.cache != "" && r.mode == ModeCompiled {
			e.dir = filepath.Join(r.cache, entryName(digest))
		}
		r.entries[digest] = e
	}
	e.users++
	return e
}

// drop gives an entry back. The last one frees the code in memory.
func (r *Runtime) drop(ctx context.Context, e *entry) error {
	r.mu.Lock()
	e.users--
	last := e.users == 0
	if last {
		delete(r.entries, e.digest)
	}
	r.mu.Unlock()
	if !last {
		return nil
	}
	return e.unload(ctx)
}

// unload frees what is in memory.
func (e *entry) unload(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	if e.engine != nil {
		errs = append(errs, e.engine.Close(ctx))
	}
	if e.module != nil {
		errs = append(errs, e.module.Close(ctx))
	}
	if e.cache != nil {
		errs = append(errs, e.cache.Close(ctx))
	}
	e.engine, e.module, e.cache = nil, nil, nil
	return errors.Join(errs...)
}

// load compiles the module, or takes what was compiled before: by another
// instance, and then the file is not read again, or from the disk. A damaged entry
// is removed and made again.
func (e *entry) load(ctx context.Context, r *Runtime, a plugin.Artifact) (cached bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.module != nil {
		return true, nil
	}
	code, err := r.meter(a)
	if err == nil {
		err = ctx.Err() // compiling cannot be interrupted
	}
	if err != nil {
		return false, err
	}
	if e.cache == nil {
		err = e.open(r)
	}
	if err == nil && e.engine == nil {
		e.engine, err = r.newEngine(ctx, e.cache)
	}
	if err != nil {
		return false, fmt.Errorf("compile plugin %s: %w", a.Name, err)
	}
	if e.module, err = compileSafely(ctx, e.engine, code); err != nil {
		return false, flaw(a, err.Error(), "build it again, see docs/plugin-abi.md")
	}
	if e.dir == "" {
		return false, nil
	}
	if cached, err = e.reseal(); err != nil {
		r.logger.Warn("compiled plugin is not in the cache: the next start compiles it again", "plugin", a.Name, "cause", err)
	}
	return cached, nil
}

// compileSafely is CompileModule without its panics: memory that the system does
// not give, and whatever a module may find in the compiler.
func compileSafely(ctx context.Context, r wazero.Runtime, module []byte) (m wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, fmt.Errorf("the compiler gave up: %v", p)
		}
	}()
	return r.CompileModule(ctx, module)
}

// open checks what is on the disk and opens it.
func (e *entry) open(r *Runtime) (err error) {
	if e.dir == "" {
		e.cache = wazero.NewCompilationCache()
		return nil
	}
	if e.seal, err = readSeal(e.dir); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.logger.Warn("compiled plugin is damaged: it is compiled again", "folder", e.dir, "cause", err)
		}
		if err := os.RemoveAll(e.dir); err != nil {
			return fmt.Errorf("remove damaged entry: %w", err)
		}
	}
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return fmt.Errorf("make entry: %w", err)
	}
	e.cache, err = wazero.NewCompilationCacheWithDir(e.dir)
	return err
}

// reseal looks whether compiling has added files. Those from before are then of
// another version of wazero, of the rewriter or of the processor: they go.
func (e *entry) reseal() (cached bool, err error) {
	names, err := listFiles(e.dir)
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(names, func(name string) bool { return e.seal[name] == "" }) {
		return len(names) > 0, nil
	}
	for name := range e.seal {
		if err := os.Remove(filepath.Join(e.dir, name)); err != nil {
			return false, err
		}
	}
	e.seal = nil
	seal, err := sumFiles(e.dir)
	if err == nil {
		err = writeSeal(e.dir, seal)
	}
	if err != nil {
		return false, err
	}
	e.seal = seal
	return false, nil
}

// readSeal reads the list of an entry's files and holds it against them.
// fs.ErrNotExist says that there is no entry.
func readSeal(dir string) (map[string]string, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, sealName))
	if err != nil {
		return nil, fmt.Errorf("it was not finished: %v", err)
	}
	seal := make(map[string]string)
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		sum, name, ok := strings.Cut(lines.Text(), "  ")
		if !ok || len(sum) != 2*sha256.Size {
			return nil, errors.New("its seal cannot be read")
		}
		seal[name] = sum
	}
	files, err := sumFiles(dir)
	if err != nil {
		return nil, err
	}
	for name := range seal {
		if files[name] == "" {
			return nil, fmt.Errorf("file %s is missing", clip(name, 200))
		}
	}
	for name, sum := range files {
		if seal[name] != sum {
			return nil, fmt.Errorf("file %s is not what was sealed", clip(name, 200))
		}
	}
	if len(seal) == 0 {
		return nil, errors.New("it is empty")
	}
	return seal, nil
}

// writeSeal writes the list so that it is there as a whole or not at all.
func writeSeal(dir string, files map[string]string) error {
	var text bytes.Buffer
	for name, sum := range files {
		fmt.Fprintf(&text, "%s  %s\n", sum, name)
	}
	path := filepath.Join(dir, sealName)
	if err := os.WriteFile(path+".new", text.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// listFiles returns the files below a folder, but for the seal.
func listFiles(dir string) (names []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == sealName || name == sealName+".new" {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is no regular file", name)
		}
		names = append(names, name)
		return nil
	})
	return names, err
}

// sumFiles returns the files below a folder, but for the seal, with their SHA-256.
func sumFiles(dir string) (map[string]string, error) {
	names, err := listFiles(dir)
	if err != nil {
		return nil, err
	}
	sums := make(map[string]string, len(names))
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		sums[name] = fmt.Sprintf("%x", sha256.Sum256(b))
	}
	return sums, nil
}

// sweep removes the entries of a cache that are not in keep.
func sweep(cache string, keep map[string]bool) error {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return fmt.Errorf("sweep compile cache: %w", err)
	}
	var errs []error
	for _, d := range entries {
		if len(d.Name()) == 2*sha256.Size && !keep[d.Name()] {
			errs = append(errs, os.RemoveAll(filepath.Join(cache, d.Name())))
		}
	}
	return errors.Join(errs...)
}

// ownFolder makes the folder, or looks whether it is one that nobody else can
// write to.
func ownFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if who := foreignOwner(info); who != "" {
		return fmt.Errorf("%w: folder %s belongs to %s, and what is in it would run as this process: give it another path", pluginapi.ErrInvalid, dir, who)
	}
	if othersWrite(info) {
		return fmt.Errorf("%w: others may write to folder %s, and what is in it would run as this process: remove it", pluginapi.ErrInvalid, dir)
	}
	return os.Chmod(dir, 0o700)
}

// compilerRuns compiles and runs the smallest module there is. It fails where
// memory cannot be made executable.
func compilerRuns(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	nothing := []byte{0, 'a', 's', 'm', 1, 0, 0, 0, // a function () -> (), exported as f
		1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 'f', 0, 0, 10, 4, 1, 2, 0, 0x0b}
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2))
	defer r.Close(ctx)
	m, err := r.Instantiate(ctx, nothing)
	if err != nil {
		return err
	}
	_, err = m.ExportedFunction("f").Call(ctx)
	return err
}
