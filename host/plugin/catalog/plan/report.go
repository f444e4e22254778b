package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Stage is how far a node is with one version.
type Stage string

// The stages. Each one has passed those before it.
const (
	Missing  Stage = "missing"  // not here yet; Reason says why, when it was tried
	Fetched  Stage = "fetched"  // its package is on the disk
	Verified Stage = "verified" // digest, signature, manifest and grants are right
	Prepared Stage = "prepared" // it is loaded, has described itself, and waits
	Active   Stage = "active"   // calls go to it
	Failed   Stage = "failed"   // the node cannot have it; Reason says why
)

// Held is a version on a node.
type Held struct {
	Digest  string `json:"digest"`
	Version string `json:"version"`
	Stage   Stage  `json:"stage"`
	Try     uint64 `json:"try"` // serial of the rollout in which it came to this stage
	Reason  string `json:"reason,omitempty"`
	Tally   Tally  `json:"tally"`
}

// Tally counts the calls to one version on one node, since it was loaded there.
type Tally struct {
	Calls  uint64 `json:"calls,omitempty"`
	Faults uint64 `json:"faults,omitempty"` // calls that did not get the answer that they should have
	SlowUS int64  `json:"slow_us,omitempty"`
	// SlowUS: nine calls of ten took at most so long, in microseconds.
}

// State is what a node has of one plugin.
type State struct {
	Name  string `json:"name"`
	Local bool   `json:"local,omitempty"` // it comes from the node's own folder (plugins.dir), not from the platform
	Held  []Held `json:"held,omitempty"`
}

// Report is what a node has of all plugins.
type Report struct {
	Node    string  `json:"node"`
	Inc     uint64  `json:"inc"` // incarnation in which it was written
	Plugins []State `json:"plugins,omitempty"`
}

// Has returns what the node has of a version; its stage is Missing when that is
// nothing.
func (r Report) Has(plugin, digest string) Held {
	for _, s := range r.Plugins {
		if s.Name != plugin || s.Local {
			continue
		}
		for _, h := range s.Held {
			if h.Digest == digest {
				return h
			}
		}
	}
	return Held{Digest: digest, Stage: Missing}
}

// Encode returns the stored form.
func (r Report) Encode() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // it is made of strings and numbers only
	}
	return b
}

// maxReport leaves room below the largest record.
const maxReport = 480 << 10

// DecodeReport reads the report of a node, and refuses what no node would have
// written.
func DecodeReport(node string, value []byte) (Report, error) {
	var r Report
	if len(value) > maxReport {
		return Report{}, fmt.Errorf("decode report of %.80s: %d bytes are more than a report may have", node, len(value))
	}
	if err := json.Unmarshal(value, &r); err != nil {
		return Report{}, fmt.Errorf("decode report of %.80s: %w", node, err)
	}
	if err := r.check(node); err != nil {
		return Report{}, fmt.Errorf("decode report of %.80s: %w", node, err)
	}
	return r, nil
}

func (r Report) check(node string) error {
	if r.Node != node || pluginapi.CheckName("node", node) != nil || r.Inc > maxNumber {
		return fmt.Errorf("node %.80q, incarnation %d: it is of another one, or out of range", r.Node, r.Inc)
	}
	if len(r.Plugins) > 2*MaxPlugins {
		return fmt.Errorf("%d plugins are more than a node can have", len(r.Plugins))
	}
	for _, s := range r.Plugins {
		if err := pluginapi.CheckName("plugin", s.Name); err != nil {
			return err
		}
		if len(s.Held) > maxVersions {
			return fmt.Errorf("%d versions of %s are more than a node can have", len(s.Held), s.Name)
		}
		for _, h := range s.Held {
			if err := h.check(); err != nil {
				return fmt.Errorf("plugin %s: %w", s.Name, err)
			}
		}
	}
	return nil
}

func (h Held) check() error {
	t := h.Tally
	switch {
	case !isDigest(h.Digest):
		return fmt.Errorf("digest %.80q is none", h.Digest)
	case len(h.Version) > MaxVersion || strings.ContainsFunc(h.Version, notPlain):
		return fmt.Errorf("version %.80q is none", h.Version)
	case !slices.Contains([]Stage{Missing, Fetched, Verified, Prepared, Active, Failed}, h.Stage):
		return fmt.Errorf("stage %.80q is none", string(h.Stage))
	case len(h.Reason) > MaxReason+3:
		return fmt.Errorf("a reason of %d bytes", len(h.Reason))
	case t.Calls > maxNumber || t.Faults > t.Calls || t.SlowUS < 0 || t.SlowUS > maxNumber || h.Try > maxNumber:
		return fmt.Errorf("%d calls, %d faults, %d us, try %d: out of range", t.Calls, t.Faults, t.SlowUS, h.Try)
	}
	return nil
}

// Clip shortens a reason to what a report may hold.
func Clip(reason string) string { return clip(reason) }
