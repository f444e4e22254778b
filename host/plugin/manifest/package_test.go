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
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

const source = `# my plugin
name: webhook
version: 1.2.0
contract: hook
runtime: wasm
abi: 1
file: webhook.wasm
capabilities: [log]
`

// folder writes a plugin into a folder of its own.
func folder(t *testing.T, yaml, file string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, FileName), yaml)
	write(t, filepath.Join(dir, "webhook.wasm"), file)
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *Package {
	t.Helper()
	p, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func newKey(t *testing.T) (public, seed string) {
	t.Helper()
	public, seed, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return public, seed
}

// pack returns a signed package as one file.
func pack(t *testing.T, yaml, file, seed string) []byte {
	t.Helper()
	p := open(t, folder(t, yaml, file))
	s, err := Sign(p.Manifest, seed)
	if err != nil {
		t.Fatal(err)
	}
	p.Signature = &s
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// From a folder to a signed package and back: the manifest as it was written,
// the file as it was, and a signature that holds; the same bytes each time.
func TestPackage(t *testing.T) {
	const file = "\x00asm\x01\x00\x00\x00"
	public, seed := newKey(t)
	packed := pack(t, source, file, seed)
	if again := pack(t, source, file, seed); !bytes.Equal(packed, again) {
		t.Error("packing again gives other bytes")
	}
	p, err := Read(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if err := (Trust{Keys: []string{public}}).Verify(p.Manifest, p.Signature); err != nil {
		t.Error(err)
	}
	var got bytes.Buffer
	if err := p.Copy(&got); err != nil || got.String() != file {
		t.Errorf("file %q, %v", got.String(), err)
	}
	if err := p.Copy(io.Discard); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("read twice: %v", err)
	}
	if !strings.HasPrefix(string(p.Text), source) || p.Manifest.Digest != Digest(sha256.Sum256([]byte(file))) || p.Manifest.Size != 8 {
		t.Errorf("manifest %s", p.Text)
	}
	for _, yaml := range []string{`{name: a, version: 1.0.0, contract: hook, runtime: wasm, abi: 1, file: webhook.wasm}`, source + "description: |+\n  x\n\n\n", source + "..."} {
		p, err := Read(bytes.NewReader(pack(t, yaml, file, seed)))
		if err != nil {
			t.Fatalf("%s: %v", yaml, err)
		}
		if err := (Trust{Keys: []string{public}}).Verify(p.Manifest, p.Signature); err != nil {
			t.Errorf("%s: %v", yaml, err)
		}
	}
}

// Only a right signature by a trusted key lets a plugin in.
func TestTrust(t *testing.T) {
	public, seed := newKey(t)
	other, otherSeed := newKey(t)
	m := parse(t, full)
	good, err := Sign(m, seed)
	if err != nil {
		t.Fatal(err)
	}
	flipped, named := good, good
	flipped.Bytes[10] ^= 1
	named.Key = other
	foreign, _ := Sign(m, otherSeed)
	changed := func(change func(*Manifest)) Manifest { m := m; change(&m); return m }
	trust := Trust{Keys: []string{public}}
	for _, c := range []struct {
		name  string
		trust Trust
		m     Manifest
		sig   *Signature
		want  error
	}{
		{"good", trust, m, &good, nil},
		{"good among others", Trust{Keys: []string{other, public}}, m, &good, nil},
		{"none", trust, m, nil, pluginapi.ErrUnauthorized},
		{"none, allowed", Trust{AllowUnsigned: true}, m, nil, nil},
		{"nobody is trusted", Trust{}, m, &good, pluginapi.ErrUnauthorized},
		{"another key", trust, m, &foreign, pluginapi.ErrUnauthorized},
		{"another key, unsigned allowed", Trust{Keys: trust.Keys, AllowUnsigned: true}, m, &foreign, pluginapi.ErrUnauthorized},
		{"damaged", trust, m, &flipped, pluginapi.ErrUnauthorized},
		{"damaged, unsigned allowed", Trust{AllowUnsigned: true}, m, &flipped, pluginapi.ErrUnauthorized},
		{"names another key", Trust{Keys: []string{other}}, m, &named, pluginapi.ErrUnauthorized},
		{"names no key", trust, m, &Signature{Bytes: good.Bytes}, pluginapi.ErrUnauthorized},
		{"one more capability", trust, changed(func(m *Manifest) { m.Capabilities = append(m.Capabilities[:3:3], m.Capabilities...) }), &good, pluginapi.ErrUnauthorized},
		{"another file", trust, changed(func(m *Manifest) { m.Digest[0] = 1 }), &good, pluginapi.ErrUnauthorized},
		{"another size", trust, changed(func(m *Manifest) { m.Size++ }), &good, pluginapi.ErrUnauthorized},
		{"another limit", trust, changed(func(m *Manifest) { m.Limits.Memory++ }), &good, pluginapi.ErrUnauthorized},
		{"another version", trust, changed(func(m *Manifest) { m.Version = "9.9.9" }), &good, pluginapi.ErrUnauthorized},
		{"another config", trust, changed(func(m *Manifest) { m.Default = nil }), &good, pluginapi.ErrUnauthorized},
		{"not sealed", Trust{AllowUnsigned: true}, changed(func(m *Manifest) { m.Digest = Digest{} }), nil, pluginapi.ErrInvalid},
	} {
		if err := c.trust.Verify(c.m, c.sig); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// A key of another kind signs nothing and is not trusted: a NATS client signs
// with a user's key what a server sends it.
func TestKeys(t *testing.T) {
	public, seed := newKey(t)
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	userSeed, _ := user.Seed()
	userKey, _ := user.PublicKey()
	if err := CheckKey(public); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"", userKey, seed, public[:len(public)-1], public + "A", strings.ToLower(public)} {
		if err := CheckKey(key); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%q: %v", key, err)
		} else if strings.Contains(err.Error(), seed) {
			t.Error("the error repeats a seed")
		}
	}
	m := parse(t, full)
	for _, s := range []string{"", "SA", string(userSeed), public, seed[:20], seed + "A"} {
		if _, err := Sign(m, s); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%q: %v", s, err)
		} else if s != "" && len(s) > 10 && strings.Contains(err.Error(), s) {
			t.Error("the error repeats a seed")
		}
	}
	sig, _ := Sign(m, seed)
	if again, err := ParseSignature(sig.Text()); err != nil || again != sig {
		t.Errorf("read again: %v, %v", again, err)
	}
	good := string(sig.Text())
	for _, text := range []string{"", "x", good + "\n", strings.Replace(good, " 1", " 2", 1), strings.Replace(good, public, userKey, 1), good[:len(good)-5] + "\n", strings.Repeat("x", 2000)} {
		if _, err := ParseSignature([]byte(text)); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// part is one entry of a tar.
type part struct {
	header tar.Header
	text   string
}

func tarOf(t *testing.T, parts ...part) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, p := range parts {
		h := p.header
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
			h.Size = int64(len(p.text))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, p.text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A package that is anything but the three files in a row is refused.
func TestHostilePackages(t *testing.T) {
	const file = "\x00asm"
	_, seed := newKey(t)
	good := pack(t, source, file, seed)
	p, err := Read(bytes.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	named := func(name, text string) part { return part{tar.Header{Name: name, Mode: 0o644}, text} }
	yaml, sig, wasm := named(FileName, string(p.Text)), named(SignatureName, string(p.Signature.Text())), named("webhook.wasm", file)
	for name, data := range map[string][]byte{
		"nothing":              {},
		"a module":             []byte(file + strings.Repeat("\x00", 2000)),
		"a gzip":               []byte("\x1f\x8b\x08\x00" + strings.Repeat("x", 1000)),
		"cut in the manifest":  good[:700],
		"cut in the signature": good[:1600],
		"cut in the file":      good[:len(good)-1024-510],
		"no file":              tarOf(t, yaml, sig),
		"no manifest":          tarOf(t, wasm),
		"another order":        tarOf(t, wasm, yaml, sig),
		"signature behind":     tarOf(t, yaml, wasm, sig),
		"two manifests":        tarOf(t, yaml, yaml, wasm),
		"two signatures":       tarOf(t, yaml, sig, sig, wasm),
		"two files":            tarOf(t, yaml, sig, wasm, wasm),
		"one more":             tarOf(t, yaml, sig, wasm, named("x", "x")),
		"a path":               tarOf(t, yaml, named("../webhook.wasm", file)),
		"a path of its own":    tarOf(t, yaml, named("./webhook.wasm", file)),
		"an absolute path":     tarOf(t, yaml, named("/webhook.wasm", file)),
		"a link":               tarOf(t, yaml, part{tar.Header{Name: "webhook.wasm", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, ""}),
		"a hard link":          tarOf(t, yaml, part{tar.Header{Name: "webhook.wasm", Typeflag: tar.TypeLink, Linkname: FileName}, ""}),
		"a folder":             tarOf(t, part{tar.Header{Name: "x/", Typeflag: tar.TypeDir}, ""}, yaml, wasm),
		"a device":             tarOf(t, yaml, part{tar.Header{Name: "webhook.wasm", Typeflag: tar.TypeChar}, ""}),
		"extended header":      tarOf(t, yaml, part{tar.Header{Name: "webhook.wasm", Format: tar.FormatPAX, PAXRecords: map[string]string{"A.x": "y"}}, file}),
		"another file":         tarOf(t, yaml, sig, named("webhook.wasm", "\x00asn")),
		"a longer file":        tarOf(t, yaml, sig, named("webhook.wasm", file+"x")),
		"a shorter file":       tarOf(t, yaml, sig, named("webhook.wasm", "\x00as")),
		"unsealed":             tarOf(t, named(FileName, source), wasm),
		"a huge manifest":      tarOf(t, named(FileName, strings.Repeat("#", MaxManifest+1)), wasm),
		"a huge signature":     tarOf(t, yaml, named(SignatureName, strings.Repeat("x", 5000)), wasm),
		"something behind":     append(bytes.Clone(good), "x"...),
		"zeros without end":    append(bytes.Clone(good), make([]byte, 100_000)...),
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Read(bytes.NewReader(data))
			if err == nil {
				err = p.Copy(io.Discard)
			}
			if !errors.Is(err, pluginapi.ErrInvalid) && !errors.Is(err, pluginapi.ErrUnauthorized) {
				t.Errorf("got %v", err)
			}
			if kind := strings.Contains("a link, a hard link, a folder, a device, extended header", name); kind != strings.Contains(fmt.Sprint(err), "no plain file") {
				t.Errorf("got %v", err)
			}
		})
	}
	if p, err := Read(bytes.NewReader(tarOf(t, yaml, wasm))); err != nil || p.Copy(io.Discard) != nil || p.Signature != nil {
		t.Errorf("a package without signature: %v", err)
	}
}

// A package of 500 MB is refused before anything of it is read.
func TestHugePackage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(500_000_000), f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, pluginapi.ErrTooLarge) {
		t.Errorf("a file: %v", err)
	}
	dir := folder(t, source, "x")
	if err := os.Truncate(filepath.Join(dir, "webhook.wasm"), 500_000_000); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, pluginapi.ErrTooLarge) {
		t.Errorf("a folder: %v", err)
	}
}

// In a folder, too, only plain files count, and what is signed is what is read.
func TestFolder(t *testing.T) {
	_, seed := newKey(t)
	dir := folder(t, source, "\x00asm")
	p := open(t, dir)
	sig, err := Sign(p.Manifest, seed)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, SignatureName), string(sig.Text()))
	if p := open(t, dir); p.Signature == nil || p.Signature.Check(p.Manifest) != nil {
		t.Error("the signature beside the manifest does not hold")
	}
	write(t, filepath.Join(dir, "webhook.wasm"), "\x00asn")
	if p := open(t, dir); !errors.Is(p.Signature.Check(p.Manifest), pluginapi.ErrUnauthorized) {
		t.Error("the signature holds for another file")
	}
	p = open(t, dir)
	write(t, filepath.Join(dir, "webhook.wasm"), "\x00xxx")
	if err := p.Copy(io.Discard); !errors.Is(err, pluginapi.ErrUnauthorized) {
		t.Errorf("the file was changed after it was opened: %v", err)
	}
	refuse(t, "nothing there", filepath.Join(dir, "none"), fs.ErrNotExist)
	refuse(t, "an empty folder", t.TempDir(), fs.ErrNotExist)
	refuse(t, "an empty file", folder(t, source, ""), pluginapi.ErrInvalid)
	refuse(t, "no file", folder(t, strings.Replace(source, "webhook.wasm", "other.wasm", 1), "x"), pluginapi.ErrInvalid)
	write(t, filepath.Join(dir, SignatureName), "no signature")
	refuse(t, "a wrong signature", dir, pluginapi.ErrInvalid)
}

func refuse(t *testing.T, name, path string, want error) {
	t.Helper()
	if _, err := Open(path); !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", name, err, want)
	}
}

// Reading never panics; what is accepted is what the manifest says.
func FuzzRead(f *testing.F) {
	seed := func(parts ...part) {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, p := range parts {
			p.header.Size, p.header.Mode = int64(len(p.text)), 0o644
			_ = w.WriteHeader(&p.header)
			_, _ = io.WriteString(w, p.text)
		}
		_ = w.Close()
		f.Add(b.Bytes())
	}
	yaml := part{tar.Header{Name: FileName}, source + "digest: " + Digest(sha256.Sum256([]byte("x"))).String() + "\nsize: 1\n"}
	sig := part{tar.Header{Name: SignatureName}, string(Signature{Key: "ABC"}.Text())}
	wasm := part{tar.Header{Name: "webhook.wasm"}, "x"}
	seed(yaml, wasm)
	seed(yaml, sig, wasm)
	seed(wasm)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		var got bytes.Buffer
		if err := p.Copy(&got); err != nil {
			return
		}
		if int64(got.Len()) != p.Manifest.Size || Digest(sha256.Sum256(got.Bytes())) != p.Manifest.Digest {
			t.Fatalf("accepted %q under the digest %s", got.Bytes(), p.Manifest.Digest)
		}
	})
}
