package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// store keeps packages on this node's disk: <dir>/packages/<digest>/package, and
// beside it the plugin's file, as it was taken out of it. Only this user can
// read it.
type store struct{ dir string }

const (
	packagesFolder = "packages"
	tmpFolder      = "tmp"
	packageFile    = "package"
	pluginFile     = "file"
)

// openStore makes the folders, and takes away what was half done.
func openStore(dir string) (*store, error) {
	s := &store{dir}
	if err := os.RemoveAll(s.tmp()); err != nil {
		return nil, fmt.Errorf("open plugin folder: %w", err)
	}
	for _, d := range []string{filepath.Join(dir, packagesFolder), s.tmp()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("open plugin folder: %w", err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil { // it may have been there before
		return nil, fmt.Errorf("open plugin folder: %w", err)
	}
	return s, nil
}

func (s *store) tmp() string { return filepath.Join(s.dir, tmpFolder) }

func (s *store) folder(digest string) string { return filepath.Join(s.dir, packagesFolder, digest) }

// file is where the plugin's file is, once it was unpacked.
func (s *store) file(digest string) string { return filepath.Join(s.folder(digest), pluginFile) }

func (s *store) has(digest string) bool {
	_, err := os.Stat(filepath.Join(s.folder(digest), packageFile))
	return err == nil
}

// all lists the digests of what is there.
func (s *store) all() []string {
	entries, err := os.ReadDir(filepath.Join(s.dir, packagesFolder))
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// put stores a package. It is there as a whole or not at all.
//
// # Errors
//
// An unfit when what was read is not what the version says.
func (s *store) put(v plan.Version, r io.Reader) (err error) {
	tmp, err := os.MkdirTemp(s.tmp(), "")
	if err != nil {
		return unfit(fmt.Errorf("store package: %w", err))
	}
	defer os.RemoveAll(tmp)
	f, err := os.OpenFile(filepath.Join(tmp, packageFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o400)
	if err != nil {
		return unfit(fmt.Errorf("store package: %w", err))
	}
	hash := sha256.New()
	disk := &diskWriter{w: f}
	n, err := io.Copy(io.MultiWriter(disk, hash), io.LimitReader(r, v.Size+1))
	err = errors.Join(err, f.Sync(), f.Close())
	switch {
	case disk.err != nil:
		return unfit(fmt.Errorf("store package: %w", disk.err))
	case err != nil:
		return fmt.Errorf("fetch package: %w", err)
	case n != v.Size || hex.EncodeToString(hash.Sum(nil)) != v.Digest:
		return unfit(fmt.Errorf("%w: the package in the object store is not the one of version %s: its digest is another one", pluginapi.ErrInvalid, v.Version))
	}
	to := s.folder(v.Digest)
	if err := os.RemoveAll(to); err != nil {
		return unfit(fmt.Errorf("store package: %w", err))
	}
	if err := os.Rename(tmp, to); err != nil {
		return unfit(fmt.Errorf("store package: %w", err))
	}
	return nil
}

// diskWriter remembers that it was the disk that failed, not what was read.
type diskWriter struct {
	w   io.Writer
	err error
}

func (d *diskWriter) Write(p []byte) (n int, err error) {
	n, d.err = d.w.Write(p)
	return n, d.err
}

// unpack reads a stored package again, compares its digest, and takes the
// plugin's file out of it anew: whatever was done to that one is undone.
//
// # Errors
//
// An unfit; errDamaged when the package itself was changed.
func (s *store) unpack(digest string, open opener) (p opened, err error) {
	tmp, err := os.CreateTemp(s.tmp(), "file")
	if err != nil {
		return opened{}, unfit(fmt.Errorf("unpack plugin: %w", err))
	}
	defer os.Remove(tmp.Name())
	p, err = s.read(digest, open, tmp)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return opened{}, err
	}
	mode := fs.FileMode(0o400)
	if p.Runtime == manifest.Binary {
		mode = 0o500
	}
	if err := errors.Join(os.Chmod(tmp.Name(), mode), os.Rename(tmp.Name(), s.file(digest))); err != nil {
		return opened{}, unfit(fmt.Errorf("unpack plugin: %w", err))
	}
	return p, nil
}

// errDamaged says that a stored package is not what it was when it was stored.
const errDamaged pluginapi.Error = "damaged on this node's disk"

// read reads a stored package and compares its digest.
func (s *store) read(digest string, open opener, file io.Writer) (opened, error) {
	f, err := os.Open(filepath.Join(s.folder(digest), packageFile))
	if err != nil {
		return opened{}, unfit(fmt.Errorf("read package: %w", err))
	}
	defer f.Close()
	hash := sha256.New()
	all := io.TeeReader(f, hash)
	p, openErr := open(all, file)
	if _, err := io.Copy(io.Discard, all); err != nil {
		return opened{}, unfit(fmt.Errorf("read package: %w", err))
	}
	if hex.EncodeToString(hash.Sum(nil)) != digest {
		return opened{}, unfit(fmt.Errorf("package %.12s: %w", digest, errDamaged))
	}
	if openErr != nil {
		return opened{}, unfit(openErr)
	}
	return p, nil
}

// check reads a stored package and its file, and says whether both are right.
func (s *store) check(digest string, open opener) (opened, error) {
	p, err := s.read(digest, open, io.Discard)
	if err != nil {
		return opened{}, err
	}
	f, err := os.Open(s.file(digest))
	if err != nil {
		return opened{}, fmt.Errorf("read plugin: %w", err)
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return opened{}, fmt.Errorf("read plugin: %w", err)
	}
	if [sha256.Size]byte(hash.Sum(nil)) != p.Digest {
		return opened{}, fmt.Errorf("file %s of package %.12s: %w", p.File, digest, errDamaged)
	}
	return p, nil
}

// drop takes a package away.
func (s *store) drop(digest string) error {
	if err := os.RemoveAll(s.folder(digest)); err != nil {
		return fmt.Errorf("delete package: %w", err)
	}
	return nil
}

// fetch gets a package from the platform's object store.
func (s *store) fetch(ctx context.Context, v plan.Version, blobs func(context.Context) (Blobs, error)) error {
	b, err := blobs(ctx)
	if err != nil {
		return fmt.Errorf("fetch package: %w", err)
	}
	r, err := b.Get(ctx, v.Blob)
	if err != nil {
		return fmt.Errorf("fetch package: %w", err)
	}
	defer r.Close()
	return s.put(v, r)
}

// unfitError marks what trying again at once cannot mend.
type unfitError struct{ error }

func (e unfitError) Unwrap() error { return e.error }

func unfit(err error) error { return unfitError{err} }

func isUnfit(err error) bool {
	_, ok := errors.AsType[unfitError](err)
	return ok
}

// opened is what was read of a package.
type opened struct {
	manifest.Manifest
	signer string // public key whose signature was found good; "": it is not signed
}

// opener reads a package, writes the plugin's file to file, and refuses what is
// not whole, not as its manifest says, or signed by nobody who is trusted.
type opener func(pkg io.Reader, file io.Writer) (opened, error)

// trusting makes an opener.
func trusting(t manifest.Trust) opener {
	return func(pkg io.Reader, file io.Writer) (opened, error) {
		p, err := manifest.Read(pkg)
		if err != nil {
			return opened{}, fmt.Errorf("read package: %w", err)
		}
		if err := t.Verify(p.Manifest, p.Signature); err != nil {
			return opened{}, err
		}
		if err := p.Copy(file); err != nil {
			return opened{}, err
		}
		o := opened{Manifest: p.Manifest}
		if p.Signature != nil {
			o.signer = p.Signature.Key
		}
		return o, nil
	}
}
