package manifest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// The names of the files of a package beside the plugin's own.
const (
	FileName      = "plugin.yaml"
	SignatureName = "plugin.sig"
)

// What a manifest and its parts may have at most, in bytes.
const (
	MaxManifest = 256 << 10
	MaxConfig   = 64 << 10  // the config, and the schema of it
	MaxArtifact = 256 << 20 // the plugin's file
)

// Runtime names what runs a plugin.
type Runtime string

// The runtimes.
const (
	WASM   Runtime = "wasm"
	Binary Runtime = "binary"
)

// Manifest is what plugin.yaml says. Parse and Open make good ones only; it is
// not to be changed afterwards.
type Manifest struct {
	Name         string // as pluginapi.CheckName allows
	Version      string // semantic version without build metadata
	Contract     wire.Contract
	Runtime      Runtime
	ABI          int    // major version, wire.Version
	Description  string // for people, one line or several
	File         string // name of the plugin's file, no path
	OS, Arch     string // as Go names them; of a binary, "" of WebAssembly
	Digest       Digest // SHA-256 of the file; zero while it is not known
	Size         int64  // bytes of the file; 0 while it is not known
	Capabilities capability.Set
	Limits       plugin.Limits
	Events       []pluginapi.HookKind // that a hook wants; empty: all
	ConfigSchema json.RawMessage      // JSON schema of the config; nil: any object is good
	Default      json.RawMessage      // config that holds where the operator gives none; nil: {}
}

// Digest is a SHA-256. Its text is "sha256:" and 64 hexadecimal digits.
type Digest [32]byte

// IsZero says whether the digest is not known.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns the text.
func (d Digest) String() string { return "sha256:" + hex.EncodeToString(d[:]) }

// ParseDigest reads the text of a digest.
//
// # Errors
//
// [pluginapi.ErrInvalid] for anything but "sha256:" and 64 hexadecimal digits in
// lower case, not all of them zero.
func ParseDigest(text string) (d Digest, err error) {
	digits, ok := strings.CutPrefix(text, "sha256:")
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != len(d) || digits != strings.ToLower(digits) || Digest(b).IsZero() {
		return Digest{}, fmt.Errorf("%w: %.80q is no digest: write sha256: and 64 hexadecimal digits in lower case", pluginapi.ErrInvalid, text)
	}
	return Digest(b), nil
}

// Sealed says whether the manifest covers its file: digest and size are there.
func (m Manifest) Sealed() bool { return !m.Digest.IsZero() && m.Size > 0 }

// String names the plugin and its version.
func (m Manifest) String() string { return m.Name + " " + m.Version }

// Artifact describes the plugin's file at a path of this node for a runtime.
func (m Manifest) Artifact(path string) plugin.Artifact {
	return plugin.Artifact{Name: m.Name, Version: m.Version, Contract: m.Contract, Path: path, Digest: m.Digest}
}

// CheckPlatform says whether the plugin runs on a system.
//
// # Errors
//
// [pluginapi.ErrInvalid] for a binary that was built for another one.
func (m Manifest) CheckPlatform(os, arch string) error {
	if m.Runtime != Binary || m.OS == os && m.Arch == arch {
		return nil
	}
	return fmt.Errorf("%w: plugin %s is a binary for %s/%s and cannot run on %s/%s: build it with GOOS=%s GOARCH=%s, or take a WebAssembly plugin",
		pluginapi.ErrInvalid, m, m.OS, m.Arch, os, arch, os, arch)
}
