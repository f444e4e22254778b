package membership

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// NodeRecord is the stored form of what is known about a node beside its
// session. It outlives restarts of the node.
type NodeRecord struct {
	Address  string            `json:"address,omitempty"`
	Version  string            `json:"version,omitempty"` // of the software
	Apps     []string          `json:"apps,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Cordoned bool              `json:"cordoned,omitempty"`
	Failing  []string          `json:"failing,omitempty"` // health checks that fail, by its own word; the first MaxFailing
}

// Bounds of a node record.
const (
	maxNode  = 256 << 10
	maxApps  = 4096
	maxLabel = 64
	maxText  = 255
	// MaxFailing is how many failing health checks a record names.
	MaxFailing = 16
)

// DecodeNode reads a node record and refuses what no node would have written.
func DecodeNode(value []byte) (NodeRecord, error) {
	var r NodeRecord
	if len(value) > maxNode {
		return r, fmt.Errorf("decode node: %d bytes are more than a node may have", len(value))
	}
	if err := json.Unmarshal(value, &r); err != nil {
		return r, fmt.Errorf("decode node: %w", err)
	}
	if len(r.Apps) > maxApps || len(r.Address) > maxText || len(r.Version) > maxText {
		return r, fmt.Errorf("decode node: apps, address or version are longer than allowed")
	}
	for _, a := range r.Apps {
		if err := pluginapi.CheckName("app", a); err != nil {
			return r, fmt.Errorf("decode node: %w", err)
		}
	}
	if len(r.Failing) > MaxFailing {
		return r, fmt.Errorf("decode node: %d failing health checks are more than a record names", len(r.Failing))
	}
	for _, c := range r.Failing {
		if err := pluginapi.CheckName("health check", c); err != nil {
			return r, fmt.Errorf("decode node: %w", err)
		}
	}
	if err := CheckLabels(r.Labels); err != nil {
		return r, fmt.Errorf("decode node: %w", err)
	}
	return r, nil
}

// Encode returns the stored form of a table or a node record.
func Encode(record any) []byte {
	b, err := json.Marshal(record)
	if err != nil {
		panic(err) // records are made of strings, numbers and times of this century
	}
	return b
}

// CheckLabels says whether labels may be put on a node: at most 64, keys of 1
// to 63 of the characters A-Z a-z 0-9 - _ . / beginning with a letter or digit,
// values of at most 255 bytes of UTF-8 without control characters.
func CheckLabels(labels map[string]string) error {
	if len(labels) > maxLabel {
		return fmt.Errorf("%w: %d labels: a node may have %d", pluginapi.ErrInvalid, len(labels), maxLabel)
	}
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		plain := strings.NewReplacer(".", "-", "/", "-").Replace(k)
		if err := pluginapi.CheckName("label", plain); err != nil {
			return fmt.Errorf("%w (dots and slashes are allowed in labels, not first)", err)
		}
		v := labels[k]
		if len(v) > maxText || !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("%w: the value of label %s is longer than %d bytes, has control characters or is not UTF-8", pluginapi.ErrInvalid, k, maxText)
		}
	}
	return nil
}

// Edit is a change of a node record that any node may ask for. What is nil or
// empty stays as it is.
type Edit struct {
	Set    map[string]string
	Remove []string
	Cordon *bool
	Self   *NodeRecord // address, version and apps, said by the node itself
	// Failing replaces the names of the failing health checks; empty: none fails.
	Failing *[]string
}

// Apply returns the record after the edit, and whether it differs.
func (e Edit) Apply(r NodeRecord) (NodeRecord, bool) {
	before := Encode(r)
	labels := maps.Clone(r.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, e.Set)
	for _, k := range e.Remove {
		delete(labels, k)
	}
	r.Labels = labels
	if len(labels) == 0 {
		r.Labels = nil
	}
	if e.Cordon != nil {
		r.Cordoned = *e.Cordon
	}
	if e.Self != nil {
		r.Address, r.Version, r.Apps = e.Self.Address, e.Self.Version, e.Self.Apps
	}
	if e.Failing != nil {
		r.Failing = slices.Clone((*e.Failing)[:min(MaxFailing, len(*e.Failing))])
	}
	return r, string(before) != string(Encode(r))
}
