package manifest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
)

// Write writes the package as one file. The same plugin gives the same bytes.
// It reads the plugin's file, so it can be called once.
//
// # Errors
//
// As of [Package.Copy]; the error of w.
func (p *Package) Write(w io.Writer) error {
	t := tar.NewWriter(w)
	begin := func(name string, size int64) error {
		return t.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR})
	}
	small := func(name string, text []byte) error {
		if err := begin(name, int64(len(text))); err != nil {
			return err
		}
		_, err := t.Write(text)
		return err
	}
	err := small(FileName, p.sealedText())
	if err == nil && p.Signature != nil {
		err = small(SignatureName, p.Signature.Text())
	}
	if err == nil {
		err = begin(p.Manifest.File, p.Manifest.Size)
	}
	if err != nil {
		return fmt.Errorf("write package: %w", err)
	}
	if err := p.Copy(t); err != nil {
		return err
	}
	if err := t.Close(); err != nil {
		return fmt.Errorf("write package: %w", err)
	}
	return nil
}

// sealedText is the plugin.yaml as its author wrote it, comments and all, with
// digest and size behind it; or the canonical form where it cannot be continued.
func (p *Package) sealedText() []byte {
	want := p.Manifest.Canonical()
	text := string(p.Text)
	if m, err := Parse(p.Text); err == nil && !m.Sealed() {
		text = strings.TrimRight(text, "\n") + fmt.Sprintf("\ndigest: %s\nsize: %d\n", p.Manifest.Digest, p.Manifest.Size)
	}
	if m, err := Parse([]byte(text)); err == nil && bytes.Equal(m.Canonical(), want) {
		return []byte(text)
	}
	return append(want, '\n')
}
