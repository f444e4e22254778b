package manifest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// maxPackage is the longest package: a tar has 512 bytes a header and a little
// at its end.
const maxPackage = MaxArtifact + MaxManifest + 64<<10

// Package is a plugin that has been opened. Its manifest is sealed: digest and
// size of the file are there. Whether they are right shows when the file is read.
type Package struct {
	Manifest  Manifest
	Signature *Signature // nil without one
	Text      []byte     // plugin.yaml as it was written

	file   io.Reader // the plugin's file, from its begin
	after  func() error
	closer []io.Closer
}

// Open opens a package, a file or a folder. A plugin.yaml in a folder may leave
// out digest and size: they are then those of the file that lies there now.
// Close it.
//
// # Errors
//
// [fs.ErrNotExist]; [pluginapi.ErrInvalid], [Faults] among them, for what is no
// package; [pluginapi.ErrTooLarge].
func Open(path string) (*Package, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open plugin: %w", err)
	}
	if info.IsDir() {
		return openFolder(path)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open plugin: %w: %s is neither a file nor a folder", pluginapi.ErrInvalid, path)
	}
	if info.Size() > maxPackage {
		return nil, fmt.Errorf("open plugin %s: %w: it has %d bytes, and a plugin's file %d at most", path, pluginapi.ErrTooLarge, info.Size(), MaxArtifact)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open plugin: %w", err)
	}
	p, err := Read(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open plugin %s: %w", path, err), f.Close())
	}
	p.closer = append(p.closer, f)
	return p, nil
}

// Read reads a package from a stream: manifest and signature now, the file when
// [Package.Copy] asks for it.
//
// # Errors
//
// As of [Open].
func Read(r io.Reader) (*Package, error) {
	r = io.LimitReader(r, maxPackage)
	t := tar.NewReader(r)
	p := &Package{}
	var err error
	if p.Text, err = entry(t, FileName, MaxManifest); err != nil {
		return nil, err
	}
	if p.Manifest, err = Parse(p.Text); err != nil {
		return nil, err
	}
	if !p.Manifest.Sealed() {
		return nil, bad("its %s has no digest and size: pack it with \"gchost plugin pack\"", FileName)
	}
	h, err := header(t)
	if err == nil && h.Name == SignatureName {
		if p.Signature, err = signatureIn(t, h); err == nil {
			h, err = header(t)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case h.Name != p.Manifest.File:
		return nil, bad("it has %.80q where the file %q of the plugin has to be: there are %s, %s and the file, in this order and nothing else", h.Name, p.Manifest.File, FileName, SignatureName)
	case h.Size != p.Manifest.Size:
		return nil, bad("%s has %d bytes, and its manifest says %d", h.Name, h.Size, p.Manifest.Size)
	}
	p.file = t
	p.after = func() error { return ended(t, r) }
	return p, nil
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: it is no package of a plugin: %s", pluginapi.ErrInvalid, fmt.Sprintf(format, args...))
}

// header reads the next header and refuses what is no plain file.
func header(t *tar.Reader) (*tar.Header, error) {
	h, err := t.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, bad("it ends too early")
	case err != nil:
		return nil, bad("it is no tar (%v): write a %s, and pack its folder with \"gchost plugin pack\"", err, FileName)
	case h.Typeflag != tar.TypeReg || len(h.PAXRecords) > 0:
		return nil, bad("%.80q is no plain file", h.Name)
	}
	return h, nil
}

// entry reads one small file that has to come next.
func entry(t *tar.Reader, name string, most int64) ([]byte, error) {
	h, err := header(t)
	if err != nil {
		return nil, err
	}
	if h.Name != name {
		return nil, bad("it begins with %.80q, and must with %s", h.Name, name)
	}
	return content(t, h, most)
}

func content(t *tar.Reader, h *tar.Header, most int64) ([]byte, error) {
	if h.Size > most {
		return nil, bad("%s has %d bytes: the most is %d", h.Name, h.Size, most)
	}
	b, err := io.ReadAll(t)
	if err != nil {
		return nil, bad("%s ends too early", h.Name)
	}
	return b, nil
}

func signatureIn(t *tar.Reader, h *tar.Header) (*Signature, error) {
	text, err := content(t, h, maxSignature)
	if err != nil {
		return nil, err
	}
	s, err := ParseSignature(text)
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// ended wants nothing but zeros behind the last file.
func ended(t *tar.Reader, r io.Reader) error {
	if h, err := t.Next(); err == nil {
		return bad("%.80q stands behind the file", h.Name)
	} else if !errors.Is(err, io.EOF) {
		return bad("what stands behind the file is no tar")
	}
	rest, err := io.ReadAll(io.LimitReader(r, 64<<10))
	if err != nil {
		return fmt.Errorf("read package: %w", err)
	}
	if len(rest) == 64<<10 || len(bytes.Trim(rest, "\x00")) > 0 {
		return bad("something stands behind its end")
	}
	return nil
}

// openFolder opens a plugin in the folder in which it is made.
func openFolder(path string) (_ *Package, err error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open plugin: %w", err)
	}
	p := &Package{closer: []io.Closer{root}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open plugin %s: %w", path, err), p.Close())
		}
	}()
	if p.Text, err = smallFile(root, FileName, MaxManifest); err != nil {
		return nil, err
	}
	if p.Manifest, err = Parse(p.Text); err != nil {
		return nil, err
	}
	switch text, err := smallFile(root, SignatureName, maxSignature); {
	case err == nil:
		s, err := ParseSignature(text)
		if err != nil {
			return nil, err
		}
		p.Signature = &s
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	f, size, err := plainFile(root, p.Manifest.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the file %s that %s names is not there: build it first", pluginapi.ErrInvalid, p.Manifest.File, FileName)
	}
	if err != nil {
		return nil, err
	}
	p.closer = append(p.closer, f)
	p.file = f
	return p, p.seal(f, size)
}

// seal fills in digest and size where the manifest leaves them out.
func (p *Package) seal(f *os.File, size int64) error {
	switch {
	case size > MaxArtifact:
		return fmt.Errorf("%w: %s has %d bytes: the most is %d", pluginapi.ErrTooLarge, p.Manifest.File, size, MaxArtifact)
	case size == 0:
		return fmt.Errorf("%w: %s is empty", pluginapi.ErrInvalid, p.Manifest.File)
	case p.Manifest.Sealed():
		return nil
	}
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(f, MaxArtifact+1))
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", p.Manifest.File, err)
	}
	p.Manifest.Size = n
	p.Manifest.Digest = Digest(sum.Sum(nil))
	return nil
}

// plainFile opens a file of a folder that is no link, no pipe and no device.
func plainFile(root *os.Root, name string) (*os.File, int64, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%w: %s is no plain file", pluginapi.ErrInvalid, name)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, 0, err
	}
	now, err := f.Stat()
	if err == nil && !os.SameFile(info, now) {
		err = fmt.Errorf("%w: %s was exchanged while it was read", pluginapi.ErrInvalid, name)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, now.Size(), nil
}

func smallFile(root *os.Root, name string, most int64) ([]byte, error) {
	f, size, err := plainFile(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > most {
		return nil, fmt.Errorf("%w: %s has %d bytes: the most is %d", pluginapi.ErrInvalid, name, size, most)
	}
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

// Copy writes the plugin's file to w, once, and compares it with the manifest.
// After an error what was written must not be used.
//
// # Errors
//
// [pluginapi.ErrUnauthorized] when digest or size differ; [pluginapi.ErrInvalid]
// when something stands behind the file; the error of w.
func (p *Package) Copy(w io.Writer) error {
	if p.file == nil {
		return fmt.Errorf("%w: the file of the package was read before", pluginapi.ErrInvalid)
	}
	r := p.file
	p.file = nil
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(r, p.Manifest.Size+1))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return bad("%s ends too early", p.Manifest.File)
	}
	if err != nil {
		return fmt.Errorf("read file of plugin %s: %w", p.Manifest, err)
	}
	if got := Digest(sum.Sum(nil)); n != p.Manifest.Size || got != p.Manifest.Digest {
		return fmt.Errorf("%w: %s is not the file of plugin %s: it has %s, and the manifest %s", pluginapi.ErrUnauthorized, p.Manifest.File, p.Manifest, got, p.Manifest.Digest)
	}
	if p.after != nil {
		return p.after()
	}
	return nil
}

// Close closes what Open has opened.
func (p *Package) Close() error {
	var errs []error
	for _, c := range p.closer {
		errs = append(errs, c.Close())
	}
	p.closer = nil
	return errors.Join(errs...)
}
