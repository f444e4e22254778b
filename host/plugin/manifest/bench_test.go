package manifest

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkManifest is what reading a manifest, its signature and a config costs.
func BenchmarkManifest(b *testing.B) {
	m, err := Parse([]byte(full))
	if err != nil {
		b.Fatal(err)
	}
	public, seed, err := NewKey()
	if err != nil {
		b.Fatal(err)
	}
	sig, err := Sign(m, seed)
	if err != nil {
		b.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"parse":  func() error { _, err := Parse([]byte(full)); return err },
		"verify": func() error { return Trust{Keys: []string{public}}.Verify(m, &sig) },
		"config": func() error { return m.CheckConfig([]byte(`{"url":"https://a","tries":3}`)) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPackage is opening a package of 19 MB and reading its file, beside the
// digest of its bytes alone.
func BenchmarkPackage(b *testing.B) {
	dir := b.TempDir()
	file := bytes.Repeat([]byte("0123456789abcdef"), 19<<20/16)
	for name, text := range map[string][]byte{FileName: []byte(source), "webhook.wasm": file} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	p, err := Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	var packed bytes.Buffer
	if err := p.Write(&packed); err != nil {
		b.Fatal(err)
	}
	if err := p.Close(); err != nil {
		b.Fatal(err)
	}
	var ours, plain time.Duration
	for b.Loop() {
		begun := time.Now()
		p, err := Read(bytes.NewReader(packed.Bytes()))
		if err == nil {
			err = p.Copy(io.Discard)
		}
		if err != nil {
			b.Fatal(err)
		}
		ours += time.Since(begun)
		begun = time.Now()
		sha256.Sum256(packed.Bytes())
		plain += time.Since(begun)
	}
	b.ReportMetric(float64(ours)/float64(plain), "x-of-sha256")
}
