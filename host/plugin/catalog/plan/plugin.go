package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Bounds of what is stored.
const (
	MaxPlugins  = 128       // of a platform
	MaxVersion  = 128       // bytes of a version's text
	MaxReason   = 512       // bytes of a reason
	MaxPackage  = 257 << 20 // bytes of a package: a file of 256 MiB, and what is around it
	maxVersions = 4
	maxGarbage  = 64
	maxRecord   = 64 << 10
	maxNumber   = 1 << 62
)

// Version is one version of a plugin. Its package's digest is what tells it from
// all others.
type Version struct {
	Version  string        `json:"version"`
	Digest   string        `json:"digest"` // SHA-256 of the package, in hex
	Size     int64         `json:"size"`   // of the package, bytes
	Blob     string        `json:"blob"`   // its name in the object store, which no other upload has or ever had
	Contract wire.Contract `json:"contract"`
	Signer   string        `json:"signer,omitempty"` // public key; "": it is not signed
}

// Phase is how far a rollout is.
type Phase string

// The phases, in their order.
const (
	Canary   Phase = "canary"
	Trial    Phase = "trial"
	Prepare  Phase = "prepare"
	Activate Phase = "activate"
	Watch    Phase = "watch"
)

// Rollout is a change of the current version that is going on.
type Rollout struct {
	Phase Phase  `json:"phase"`
	To    string `json:"to"`             // digest
	Node  string `json:"node,omitempty"` // the canary; "" until it is chosen, and when a person goes back
}

// Outcome is how the last rollout has ended.
type Outcome struct {
	From   string `json:"from,omitempty"` // version
	To     string `json:"to"`             // version
	Done   bool   `json:"done"`           // false: it was rolled back
	Reason string `json:"reason,omitempty"`
}

// Plugin is what is wanted of one plugin. Its zero value is a plugin that was
// never installed.
type Plugin struct {
	Name     string    `json:"name"`
	Serial   uint64    `json:"serial"` // of the rollout; rises with each one
	Versions []Version `json:"versions,omitempty"`
	Current  string    `json:"current,omitempty"`  // digest; "" before the first rollout is done
	Previous string    `json:"previous,omitempty"` // digest
	Enabled  bool      `json:"enabled,omitempty"`
	Rollout  *Rollout  `json:"rollout,omitempty"`
	Last     *Outcome  `json:"last,omitempty"`
	Garbage  []string  `json:"garbage,omitempty"` // blobs that nobody needs any more
}

// Installed says whether there is something of it on the platform: a current
// version, or a first one on its way.
func (p Plugin) Installed() bool { return p.Current != "" || p.Rollout != nil }

// Find returns the version with this digest.
func (p Plugin) Find(digest string) (Version, bool) {
	i := slices.IndexFunc(p.Versions, func(v Version) bool { return v.Digest == digest })
	if i < 0 {
		return Version{}, false
	}
	return p.Versions[i], true
}

// label is the version's text of a digest, for people.
func (p Plugin) label(digest string) string {
	v, _ := p.Find(digest)
	return v.Version
}

// Encode returns the stored form.
func (p Plugin) Encode() []byte {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // it is made of strings and numbers only
	}
	return b
}

// DecodePlugin reads the record of the plugin of this name, and refuses what no
// node would have written.
func DecodePlugin(name string, value []byte) (Plugin, error) {
	var p Plugin
	if len(value) > maxRecord {
		return Plugin{}, fmt.Errorf("decode plugin %.80s: %d bytes are more than a record may have", name, len(value))
	}
	if err := json.Unmarshal(value, &p); err != nil {
		return Plugin{}, fmt.Errorf("decode plugin %.80s: %w", name, err)
	}
	if err := p.check(name); err != nil {
		return Plugin{}, fmt.Errorf("decode plugin %.80s: %w", name, err)
	}
	return p, nil
}

func (p Plugin) check(name string) error {
	if err := pluginapi.CheckName("plugin", p.Name); err != nil {
		return err
	}
	switch {
	case p.Name != name:
		return fmt.Errorf("it says that it is %s", p.Name)
	case p.Serial > maxNumber, len(p.Versions) > maxVersions, len(p.Garbage) > maxGarbage:
		return fmt.Errorf("serial %d, %d versions or %d left-overs is out of range", p.Serial, len(p.Versions), len(p.Garbage))
	}
	for i, v := range p.Versions {
		if err := v.Check(); err != nil {
			return err
		}
		if slices.ContainsFunc(p.Versions[:i], func(o Version) bool { return o.Digest == v.Digest }) {
			return fmt.Errorf("version %s is there twice", v.Version)
		}
	}
	for _, b := range p.Garbage {
		if !isBlob(b) {
			return fmt.Errorf("blob %.80q is none of a plugin", b)
		}
	}
	return p.checkNamed()
}

// checkNamed wants a version for each digest that is named.
func (p Plugin) checkNamed() error {
	named := []string{p.Current, p.Previous}
	if r := p.Rollout; r != nil {
		if !slices.Contains([]Phase{Canary, Trial, Prepare, Activate, Watch}, r.Phase) {
			return fmt.Errorf("phase %.80q is none", string(r.Phase))
		}
		if r.To == "" || r.To == p.Current {
			return fmt.Errorf("a rollout to %.80q, which is current", r.To)
		}
		if r.Node != "" {
			if err := pluginapi.CheckName("node", r.Node); err != nil {
				return err
			}
		}
		named = append(named, r.To)
	}
	for _, d := range named {
		if _, known := p.Find(d); d != "" && !known {
			return fmt.Errorf("version with the digest %.80q is named and is not there", d)
		}
	}
	return nil
}

// Check refuses a version that cannot be.
//
// # Errors
//
// ErrInvalid, with what is wrong.
func (v Version) Check() error {
	switch {
	case v.Version == "" || len(v.Version) > MaxVersion || strings.ContainsFunc(v.Version, notPlain):
		return fmt.Errorf("%w: version %.80q: give 1 to %d letters, digits and . - +", pluginapi.ErrInvalid, v.Version, MaxVersion)
	case !isDigest(v.Digest):
		return fmt.Errorf("%w: digest %.80q is no SHA-256 in small hex letters", pluginapi.ErrInvalid, v.Digest)
	case !isBlob(v.Blob):
		return fmt.Errorf("%w: blob %.80q is none of a plugin", pluginapi.ErrInvalid, v.Blob)
	case v.Size <= 0 || v.Size > MaxPackage:
		return fmt.Errorf("%w: a package of %d bytes: allowed are 1 to %d", pluginapi.ErrInvalid, v.Size, int64(MaxPackage))
	case v.Contract != wire.ContractPlacement && v.Contract != wire.ContractHook && v.Contract != wire.ContractBackend:
		return fmt.Errorf("%w: contract %.80q: there are placement, hook, backend", pluginapi.ErrInvalid, string(v.Contract))
	case len(v.Signer) > 128 || strings.ContainsFunc(v.Signer, notPlain):
		return fmt.Errorf("%w: signer %.80q is no public key", pluginapi.ErrInvalid, v.Signer)
	}
	return nil
}

func notPlain(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '-' || r == '+')
}

// BlobPrefix is what the names of packages in the object store begin with.
const BlobPrefix = "plugin."

// isBlob keeps a record from naming, and having deleted, what is no package.
func isBlob(s string) bool {
	id, ok := strings.CutPrefix(s, BlobPrefix)
	return ok && pluginapi.CheckName("blob", id) == nil
}

func isDigest(s string) bool {
	return len(s) == 64 && !strings.ContainsFunc(s, func(r rune) bool { return !('a' <= r && r <= 'f' || '0' <= r && r <= '9') })
}

func clip(reason string) string {
	if len(reason) > MaxReason {
		reason = reason[:MaxReason] + "..."
	}
	return strings.ToValidUTF8(reason, "?")
}
