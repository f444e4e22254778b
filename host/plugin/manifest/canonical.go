package manifest

import (
	"encoding/json"

	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// canonical is the canonical form. A field that is added later must be left out
// when it is empty, or old signatures would no longer hold.
type canonical struct {
	Name         string               `json:"name"`
	Version      string               `json:"version"`
	Contract     wire.Contract        `json:"contract"`
	Runtime      Runtime              `json:"runtime"`
	ABI          int                  `json:"abi"`
	Description  string               `json:"description,omitempty"`
	File         string               `json:"file"`
	Platform     *platform            `json:"platform,omitempty"`
	Digest       string               `json:"digest,omitempty"`
	Size         int64                `json:"size,omitempty"`
	Capabilities []string             `json:"capabilities,omitempty"`
	Limits       *limits              `json:"limits,omitempty"`
	Events       []pluginapi.HookKind `json:"events,omitempty"`
	ConfigSchema json.RawMessage      `json:"config_schema,omitempty"`
	Config       json.RawMessage      `json:"config,omitempty"`
}

type platform struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
}

type limits struct {
	Memory    int64   `json:"memory,omitempty"`
	Call      string  `json:"call,omitempty"`
	Output    int64   `json:"output,omitempty"`
	Input     int64   `json:"input,omitempty"`
	HostCalls int     `json:"host_calls,omitempty"`
	Log       int64   `json:"log,omitempty"`
	Guests    int     `json:"guests,omitempty"`
	Tasks     int     `json:"tasks,omitempty"`
	CPU       float64 `json:"cpu,omitempty"`
}

// Canonical returns the canonical form of the manifest: equal manifests have
// the same bytes, whatever the layout, the comments and the order of the keys in
// their plugin.yaml. It is what a signature covers, and it is itself a manifest
// that [Parse] reads.
//
// It is one JSON object without blanks between its tokens. The keys of the
// first level, of platform and of limits stand in the order of docs/plugins.md;
// those of config and config_schema are sorted by their bytes. A key without a
// value is left out. Capabilities and events stand in the order of the manifest,
// capabilities in their canonical form. Sizes are numbers of bytes, durations
// are written as Go writes them ("1m30s"). Whole numbers have neither point nor
// exponent below 2^53, others the shortest form that is read back as the same
// float64, with an exponent below 1e-6 and from 1e21. In texts the characters
// " and \ and those below the blank are escaped, and U+2028 and U+2029.
func (m Manifest) Canonical() []byte {
	c := canonical{
		Name: m.Name, Version: m.Version, Contract: m.Contract, Runtime: m.Runtime, ABI: m.ABI,
		Description: m.Description, File: m.File, Size: m.Size, Capabilities: m.Capabilities.Strings(),
		Events: m.Events, ConfigSchema: m.ConfigSchema, Config: m.Default,
	}
	if m.OS != "" || m.Arch != "" {
		c.Platform = &platform{m.OS, m.Arch}
	}
	if !m.Digest.IsZero() {
		c.Digest = m.Digest.String()
	}
	l := limits{
		Memory: m.Limits.Memory, Output: m.Limits.Output, Input: m.Limits.Input, HostCalls: m.Limits.HostCalls,
		Log: m.Limits.Log, Guests: m.Limits.Guests, Tasks: m.Limits.Tasks, CPU: m.Limits.CPU,
	}
	if m.Limits.Call != 0 {
		l.Call = m.Limits.Call.String()
	}
	if l != (limits{}) {
		c.Limits = &l
	}
	text, err := encode(c)
	if err != nil { // a manifest that Parse did not make
		return nil
	}
	return text
}

// Missing lists what the plugin asks for and the operator does not grant, not
// even in part: with anything missing it must not be installed.
func (m Manifest) Missing(granted capability.Set) capability.Set {
	return capability.Missing(m.Capabilities, granted)
}
