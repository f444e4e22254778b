package catalog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// TestRefusedAtInstall: what is wrong is told at once, with what, where and how
// to mend it, and the version that runs stays.
func TestRefusedAtInstall(t *testing.T) {
	p := newPlatform(t, "n1")
	n := p.nodes["n1"]
	must(n.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")
	before := p.record("greet")
	asks := func(what string) func(string) string {
		return func(s string) string { return s + what + "\n" }
	}
	unsigned := must(manifest.Open(p.folder("greet", "1.1.0", "ok")))(t)
	defer unsigned.Close()
	other := newPlatform(t, "n1").pack("greet", "1.1.0", "ok")
	whole, err := os.ReadFile(p.pack("greet", "1.1.0", "ok"))
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(t.TempDir(), "half")
	changed := filepath.Join(t.TempDir(), "changed")
	if err := errors.Join(os.WriteFile(half, whole[:len(whole)/2], 0o600), os.WriteFile(changed, []byte(strings.Replace(string(whole), "ok 1.1.0", "no 1.1.0", 1)), 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		want error
		text string
	}{
		"unsigned":      {p.file(unsigned), pluginapi.ErrUnauthorized, "plugins.allow_unsigned"},
		"another key":   {other, pluginapi.ErrUnauthorized, "plugins.trust"},
		"half":          {half, pluginapi.ErrInvalid, ""},
		"changed":       {changed, pluginapi.ErrUnauthorized, ""},
		"asks for more": {p.pack("greet", "1.1.0", "ok", asks("capabilities: [\"kv.read:secrets/\"]")), pluginapi.ErrNotGranted, "plugins.grants, for the plugin greet"},
		"traps":         {p.pack("greet", "1.1.0", "traps"), pluginapi.ErrPluginCrashed, "greet 1.1.0"},
		"lies":          {p.pack("greet", "1.1.0", "lies"), pluginapi.ErrInvalid, "plugin.yaml"},
		"another binary": {p.pack("greet", "1.1.0", "ok", func(s string) string {
			return strings.Replace(s, "runtime: wasm", "runtime: binary\nplatform: {os: plan9, arch: arm}", 1)
		}), pluginapi.ErrInvalid, "runtime binary"},
		"same version":    {p.pack("greet", "1.0.0", "other"), pluginapi.ErrInvalid, "1.0.0"},
		"same package":    {p.pack("greet", "1.0.0", "ok"), pluginapi.ErrInvalid, "same package"},
		"another plugin":  {p.pack("other", "1.1.0", "ok"), pluginapi.ErrPluginNotFound, "other"},
		"nothing is here": {filepath.Join(t.TempDir(), "none"), os.ErrNotExist, ""},
	} {
		_, err := n.InstallFile(t.Context(), c.path, true)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %v and %q", name, err, c.want, c.text)
		}
	}
	if _, err := n.InstallFile(t.Context(), p.pack("greet", "1.1.0", "ok"), false); !errors.Is(err, pluginapi.ErrKeyExists) {
		t.Errorf("installed twice: %v", err)
	}
	if now := p.record("greet"); string(now.Encode()) != string(before.Encode()) || n.runs("greet") != "1.0.0" || len(p.blobs.names()) != 1 {
		t.Errorf("%s, %v", now.Encode(), p.blobs.names())
	}
	if left, _ := filepath.Glob(filepath.Join(n.dir, tmpFolder, "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if n.runtime.alive() != 1 {
		t.Errorf("%d instances are left", n.runtime.alive())
	}
}

// TestNodesTrustNobody: each node verifies by itself. What one host has let in is
// refused by one that trusts other keys, or grants less, or gets other bytes, and
// the rollout goes back.
func TestNodesTrustNobody(t *testing.T) {
	p := newPlatform(t, "n1", "n2")
	for name, change := range map[string]func(*Config){
		"keys":   func(c *Config) { c.Trust.Keys = nil },
		"grants": func(c *Config) { c.Grants = nil },
	} {
		p.nodes["n1"].kill()
		p.start("n1", func(c *Config) { c.Grants = map[string]capability.Set{"greet": granted(t, "clock")} })
		p.nodes["n2"].kill()
		p.start("n2", change)
		path := p.pack("greet", "1.0.0", "ok", func(s string) string { return s + "capabilities: [clock]\n" })
		p.eventually("both nodes are there", func() bool { return len(p.nodes["n1"].view.nodes(p.members(p.nodes["n1"]).Live)) == 2 })
		must(p.nodes["n1"].InstallFile(t.Context(), path, false))(t)
		p.eventually(name+": it is rolled back", func() bool { r := p.record("greet"); return r.Last != nil && !r.Last.Done && r.Rollout == nil })
		if n := p.nodes["n2"]; n.runtime.alive() > 0 {
			t.Errorf("%s: a node has loaded what it does not trust", name)
		}
		if r := p.record("greet").Last.Reason; !strings.Contains(r, "n2") {
			t.Errorf("%s: %s", name, r)
		}
		p.eventually("old packages are deleted", func() bool { return len(p.record("greet").Garbage) == 0 })
	}
}

// TestStoreIsHostile: a package that was exchanged in the object store is never
// loaded, and one that was damaged on the disk is fetched again.
func TestStoreIsHostile(t *testing.T) {
	p := newPlatform(t, "n1", "n2")
	n1, n2 := p.nodes["n1"], p.nodes["n2"]
	must(n1.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")
	v := p.record("greet").Versions[0]

	// On the disk: the plugin's file, then the package.
	file := n2.store.file(v.Digest)
	n2.kill()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Dir(file)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := errors.Join(os.Chmod(file, 0o600), os.WriteFile(file, []byte("evil"), 0o600)); err != nil {
		t.Fatal(err)
	}
	p.start("n2")
	p.everywhere("greet", "1.0.0")
	if err := errors.Join(os.Chmod(file, 0o600), os.WriteFile(file, []byte("evil"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if got := must(n2.Verify(t.Context(), "greet"))(t); got[0].Err == nil || !errors.Is(got[0].Err, errDamaged) {
		t.Errorf("%+v", got)
	}
	n2.kill()
	pkg := filepath.Join(filepath.Dir(file), packageFile)
	data, err := os.ReadFile(pkg)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(pkg, 0o600), os.WriteFile(pkg, append(data[:len(data)-1], 'x'), 0o600)); err != nil {
		t.Fatal(err)
	}
	p.start("n2")
	p.everywhere("greet", "1.0.0")

	// In the object store: a late node finds another plugin under the same name.
	evil, err := os.ReadFile(p.pack("greet", "1.0.0", "evil"))
	if err != nil {
		t.Fatal(err)
	}
	p.blobs.mu.Lock()
	good := p.blobs.all[v.Blob]
	p.blobs.all[v.Blob] = evil
	p.blobs.mu.Unlock()
	n3 := p.start("n3")
	p.eventually("it is reported", func() bool {
		list := must(n1.List(t.Context()))(t)
		for _, on := range list[0].Nodes {
			if on.Node == "n3" && len(on.State.Held) == 1 {
				return on.State.Held[0].Stage == plan.Failed && strings.Contains(on.State.Held[0].Reason, "digest")
			}
		}
		return false
	})
	if n3.runtime.alive() > 0 || n3.runs("greet") != "" {
		t.Error("it was loaded")
	}
	// The store is away, and comes back: the node goes on by itself.
	p.blobs.mu.Lock()
	p.blobs.all[v.Blob], p.blobs.down = good, errors.New("nobody answers")
	p.blobs.mu.Unlock()
	p.eventually("it is missing", func() bool {
		r := p.nodes["n1"].view.nodes(p.members(n1).Live)
		return len(r) == 3 && r[2].Has("greet", v.Digest).Stage == plan.Missing
	})
	p.blobs.mu.Lock()
	p.blobs.down = nil
	p.blobs.mu.Unlock()
	p.everywhere("greet", "1.0.0")
}

// TestForeignRecord: a record that names the package of another plugin gives it
// no other name, and so no other grants.
func TestForeignRecord(t *testing.T) {
	p := newPlatform(t, "n1")
	n := p.nodes["n1"]
	must(n.InstallFile(t.Context(), p.pack("greet", "1.0.0", "ok"), false))(t)
	p.everywhere("greet", "1.0.0")
	other := p.record("greet")
	other.Name = "other"
	must(p.records.CAS(t.Context(), keyPlugin+"other", 0, other.Encode()))(t)
	p.eventually("it is refused", func() bool {
		h := n.view.nodes(p.members(n).Live)[0].Has("other", other.Current)
		return h.Stage == plan.Failed && strings.Contains(h.Reason, "is of plugin greet")
	})
	if n.runs("other") != "" {
		t.Error("it runs")
	}
}

// TestFolderIsOurs: a folder that others could look into is closed to them.
func TestFolderIsOurs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plugins")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	must(openStore(dir))(t)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
