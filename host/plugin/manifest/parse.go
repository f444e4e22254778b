package manifest

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Parse reads a plugin.yaml. It is strict: a key that it does not know is a
// mistake. Digest and size may be missing, see [Manifest.Sealed].
//
// # Errors
//
// [Faults] with every mistake that can be told, each with its line, its key and
// how to mend it, and each an [pluginapi.ErrInvalid].
func Parse(data []byte) (Manifest, error) {
	r := &reader{}
	root := r.document(data)
	if root == nil {
		return Manifest{}, r.faults.err()
	}
	m := r.manifest(root)
	if len(r.faults) > 0 {
		return Manifest{}, r.faults.err()
	}
	return m, nil
}

// field reads the value of one key.
type field struct {
	key  string
	read func(n *yaml.Node, key string)
}

// section reads the values of a section and refuses keys that are none of its
// fields. It returns where each key stands.
func (r *reader) section(n *yaml.Node, path string, fields []field) map[string]*yaml.Node {
	at := map[string]*yaml.Node{}
	if n.Kind != yaml.MappingNode {
		r.fault(n, path, "is %s, want a section with %s", kindOf(n), strings.Join(keysOf(fields), ", "))
		return at
	}
	for i := 0; i < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		at[k.Value] = k
		j := slices.IndexFunc(fields, func(f field) bool { return f.key == k.Value })
		switch near, ok := nearest(k.Value, keysOf(fields)); {
		case j >= 0 && v.Tag == "!!null":
			r.fault(v, join(path, k.Value), "has no value: give one, or leave the key out")
		case j >= 0:
			fields[j].read(v, join(path, k.Value))
		case ok:
			r.fault(k, join(path, k.Value), "unknown key: did you mean %q?", near)
			at[near] = k
		default:
			r.fault(k, join(path, k.Value), "unknown key: there are %s", strings.Join(keysOf(fields), ", "))
		}
	}
	return at
}

func keysOf(fields []field) (keys []string) {
	for _, f := range fields {
		keys = append(keys, f.key)
	}
	return keys
}

func (r *reader) manifest(root *yaml.Node) (m Manifest) {
	var digest string
	at := r.section(root, "", []field{
		{"name", r.text(&m.Name)},
		{"version", r.text(&m.Version)},
		{"contract", oneOf(r, &m.Contract, wire.ContractPlacement, wire.ContractHook, wire.ContractBackend)},
		{"runtime", oneOf(r, &m.Runtime, WASM, Binary)},
		{"abi", func(n *yaml.Node, key string) {
			abi := int64(m.ABI)
			r.whole(&abi, 1, 1<<30)(n, key)
			m.ABI = int(abi)
		}},
		{"description", r.text(&m.Description)},
		{"file", r.text(&m.File)},
		{"platform", func(n *yaml.Node, key string) { r.platform(n, key, &m) }},
		{"digest", r.text(&digest)},
		{"size", r.bytes(&m.Size, 1, MaxArtifact)},
		{"capabilities", func(n *yaml.Node, key string) { m.Capabilities = r.capabilities(n, key) }},
		{"limits", func(n *yaml.Node, key string) { r.limits(n, key, &m.Limits) }},
		{"events", func(n *yaml.Node, key string) { m.Events = r.events(n, key) }},
		{"config_schema", r.json(&m.ConfigSchema)},
		{"config", r.json(&m.Default)},
	})
	for _, key := range []string{"name", "version", "contract", "runtime", "abi", "file"} {
		if at[key] == nil {
			r.fault(nil, key, "is missing: %s", purpose(key))
		}
	}
	c := checker{r, at, &m}
	c.words(digest)
	c.together()
	c.schema()
	return m
}

// purpose says what a key that must be there is for.
func purpose(key string) string {
	switch key {
	case "name":
		return "what the plugin is called on the platform"
	case "version":
		return "a semantic version, as in 1.2.0"
	case "contract":
		return "placement, hook or backend"
	case "runtime":
		return "wasm or binary"
	case "abi":
		return "the version of the contract that it was built for, as in 1"
	}
	return "the name of the file that it runs from"
}

func (r *reader) platform(n *yaml.Node, path string, m *Manifest) {
	at := r.section(n, path, []field{{"os", r.text(&m.OS)}, {"arch", r.text(&m.Arch)}})
	for _, k := range []string{"os", "arch"} {
		if n.Kind == yaml.MappingNode && at[k] == nil {
			r.fault(n, join(path, k), "is missing: write it as Go names it, as in linux, amd64")
		}
	}
}

func (r *reader) capabilities(n *yaml.Node, path string) (set capability.Set) {
	r.list(n, path, func(item *yaml.Node, at string) {
		var text string
		if r.text(&text)(item, at); text == "" {
			return
		}
		c, err := capability.Parse(text)
		switch {
		case err != nil:
			r.fault(item, at, "%s", strings.TrimPrefix(err.Error(), pluginapi.ErrInvalid.Error()+": "))
		case slices.Contains(set, c):
			r.fault(item, at, "%s is asked for twice: keep one", c)
		default:
			set = append(set, c)
		}
	})
	return set
}

func (r *reader) events(n *yaml.Node, path string) (kinds []pluginapi.HookKind) {
	r.list(n, path, func(item *yaml.Node, at string) {
		var kind pluginapi.HookKind
		oneOf(r, &kind, pluginapi.HookKinds()...)(item, at)
		if kind != "" && slices.Contains(kinds, kind) {
			r.fault(item, at, "%s stands here twice: keep one", kind)
		}
		kinds = append(kinds, kind)
	})
	return kinds
}

// checker checks what the values of a manifest are, each and together.
type checker struct {
	r  *reader
	at map[string]*yaml.Node
	m  *Manifest
}

func (c checker) fault(key, format string, args ...any) { c.r.fault(c.at[key], key, format, args...) }

// words checks the texts that have a form.
func (c checker) words(digest string) {
	m := c.m
	if m.Name != "" {
		if err := pluginapi.CheckName("plugin", m.Name); err != nil {
			c.fault("name", "%s", strings.TrimPrefix(err.Error(), pluginapi.ErrInvalid.Error()+": "))
		}
	}
	if m.Version != "" && !isVersion(m.Version) {
		c.fault("version", "%.80q is no semantic version: write MAJOR.MINOR.PATCH, as in 1.2.0 or 1.3.0-rc.1, 64 bytes at most", m.Version)
	}
	if m.ABI != 0 && m.ABI != wire.Version {
		c.fault("abi", "%d is not known to this gchost, which speaks %d: build the plugin for ABI %d, or install another gchost", m.ABI, wire.Version, wire.Version)
	}
	if m.File != "" && !isFile(m.File) {
		c.fault("file", "%.80q is no name of a file beside %s: give 1 to 100 of A-Z a-z 0-9 . _ -, the first a letter or a digit", m.File, FileName)
	}
	if len(m.Description) > 1000 {
		c.fault("description", "has %d bytes: the most is 1000", len(m.Description))
	}
	for _, word := range []string{m.OS, m.Arch} {
		if word != "" && !regexp.MustCompile(`^[a-z0-9]{1,20}$`).MatchString(word) {
			c.fault("platform", "%.40q is no system: write it as Go names it, as in linux, amd64", word)
		}
	}
	if digest != "" {
		var err error
		if m.Digest, err = ParseDigest(digest); err != nil {
			c.fault("digest", "%s", strings.TrimPrefix(err.Error(), pluginapi.ErrInvalid.Error()+": "))
		}
	}
}

// together checks what fits what.
func (c checker) together() {
	m := c.m
	if digest, size := c.at["digest"], c.at["size"]; (digest == nil) != (size == nil) {
		key := "digest"
		if digest == nil {
			key = "size"
		}
		c.fault(key, "digest and size belong together: leave both out and let \"gchost plugin pack\" fill them in")
	}
	switch {
	case m.Runtime == Binary && c.at["platform"] == nil:
		c.fault("platform", "is missing: a binary runs on one system, write os and arch")
	case m.Runtime == WASM && c.at["platform"] != nil:
		c.fault("platform", "is for binaries only: take it away, WebAssembly runs everywhere")
	}
	if m.Contract != "" && m.Contract != wire.ContractHook && c.at["events"] != nil {
		c.fault("events", "are for hooks only, and this is a plugin for %s: take them away", m.Contract)
	}
	for _, k := range m.Capabilities {
		switch {
		case k.Kind() == capability.Exec && m.Contract != wire.ContractBackend && m.Contract != "":
			c.fault("capabilities", "%s is for backends only", k)
		case (k.Kind() == capability.Clock || k.Kind() == capability.Random) && m.Contract == wire.ContractPlacement:
			c.fault("capabilities", "%s is not for placement: every node has to come to the same ranking", k)
		}
	}
	c.limitsOf(m.Runtime)
}

// isVersion says whether a text is a semantic version (semver.org 2.0.0) that
// has no build metadata.
func isVersion(v string) bool {
	const number, word = `(0|[1-9]\d*)`, `(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)`
	return len(v) <= 64 && regexp.MustCompile(`^`+number+`\.`+number+`\.`+number+`(-`+word+`(\.`+word+`)*)?$`).MatchString(v)
}

func isFile(name string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`).MatchString(name) && !strings.HasSuffix(name, ".") &&
		!strings.EqualFold(name, FileName) && !strings.EqualFold(name, SignatureName)
}
