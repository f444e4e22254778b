package manifest

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/ozanturksever/go-cluster/host/plugin"
)

// text reads a text that is not empty.
func (r *reader) text(to *string) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		switch {
		case n.Kind != yaml.ScalarNode:
			r.fault(n, key, "is %s, want text", kindOf(n))
		case n.Tag != "!!str":
			r.fault(n, key, "is %s, want text: write it in quotes", kindOf(n))
		case n.Value == "":
			r.fault(n, key, "is empty: give a text, or leave the key out")
		default:
			*to = n.Value
		}
	}
}

// oneOf reads one word of a list.
func oneOf[T ~string](r *reader, to *T, words ...T) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		var text string
		if r.text(&text)(n, key); text == "" {
			return
		}
		if slices.Contains(words, T(text)) {
			*to = T(text)
			return
		}
		var list []string
		for _, w := range words {
			list = append(list, string(w))
		}
		if near, ok := nearest(text, list); ok {
			r.fault(n, key, "%.80q is none of its values: did you mean %q?", text, near)
			return
		}
		r.fault(n, key, "%.80q is none of its values: there are %s", text, strings.Join(list, ", "))
	}
}

// list reads each item of a list.
func (r *reader) list(n *yaml.Node, key string, item func(*yaml.Node, string)) {
	switch {
	case n.Kind != yaml.SequenceNode:
		r.fault(n, key, "is %s, want a list", kindOf(n))
	case len(n.Content) > 100:
		r.fault(n, key, "has %d items: the most is 100", len(n.Content))
	default:
		for i, x := range n.Content {
			item(x, key+"["+strconv.Itoa(i)+"]")
		}
	}
}

// whole reads a whole number.
func (r *reader) whole(to *int64, least, most int64) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		v, err := strconv.ParseInt(n.Value, 10, 64)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil {
			r.fault(n, key, "is %s, want a whole number", kindOf(n))
			return
		}
		if v < least || v > most {
			r.fault(n, key, "is %d: %d to %d are allowed", v, least, most)
			return
		}
		*to = v
	}
}

// bytes reads a size: a whole number of bytes, or one with KiB, MiB or GiB.
func (r *reader) bytes(to *int64, least, most int64) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		if n.Kind != yaml.ScalarNode {
			r.fault(n, key, "is %s, want a size, as in 64MiB", kindOf(n))
			return
		}
		digits, factor := n.Value, int64(1)
		for i, unit := range []string{"KiB", "MiB", "GiB"} {
			if d, ok := strings.CutSuffix(n.Value, unit); ok {
				digits, factor = strings.TrimSpace(d), 1<<(10*(i+1))
			}
		}
		v, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			r.fault(n, key, "%.40q is no size: write a whole number of bytes, or one with KiB, MiB or GiB, as in 64MiB", n.Value)
			return
		}
		if v < 0 || v > math.MaxInt64/factor || v*factor < least || v*factor > most {
			r.fault(n, key, "is %.40s: %s to %s are allowed", n.Value, sizeText(least), sizeText(most))
			return
		}
		*to = v * factor
	}
}

// sizeText is a size as people write it.
func sizeText(n int64) string {
	for i, unit := range []string{"GiB", "MiB", "KiB"} {
		if f := int64(1) << (10 * (3 - i)); n >= f && n%f == 0 {
			return strconv.FormatInt(n/f, 10) + unit
		}
	}
	return strconv.FormatInt(n, 10)
}

// duration reads a time with its unit.
func (r *reader) duration(to *time.Duration, least, most time.Duration) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		v, err := time.ParseDuration(n.Value)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!str" || err != nil {
			r.fault(n, key, "is no duration: write a number and its unit, as in 500ms, 5s")
			return
		}
		if v < least || v > most {
			r.fault(n, key, "is %s: %s to %s are allowed", v, least, most)
			return
		}
		*to = v
	}
}

// cores reads a number of cores.
func (r *reader) cores(to *float64) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		v, err := strconv.ParseFloat(n.Value, 64)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" && n.Tag != "!!float" || err != nil {
			r.fault(n, key, "is %s, want a number of cores, as in 0.5", kindOf(n))
			return
		}
		if !(v >= 0.01 && v <= 64) {
			r.fault(n, key, "is %v: 0.01 to 64 are allowed", v)
			return
		}
		*to = v
	}
}

func (r *reader) limits(n *yaml.Node, path string, l *plugin.Limits) {
	const kib, mib, gib = 1 << 10, 1 << 20, 1 << 30
	number := func(to *int, most int64) func(*yaml.Node, string) {
		return func(n *yaml.Node, key string) {
			v := int64(*to)
			r.whole(&v, 1, most)(n, key)
			*to = int(v)
		}
	}
	r.section(n, path, []field{
		{"memory", r.bytes(&l.Memory, mib, 16*gib)},
		{"call", r.duration(&l.Call, time.Millisecond, 5*time.Minute)},
		{"output", r.bytes(&l.Output, kib, 64*mib)},
		{"input", r.bytes(&l.Input, kib, 64*mib)},
		{"host_calls", number(&l.HostCalls, 1_000_000)},
		{"log", r.bytes(&l.Log, kib, 16*mib)},
		{"guests", number(&l.Guests, 64)},
		{"tasks", number(&l.Tasks, 4096)},
		{"cpu", r.cores(&l.CPU)},
	})
}

// limitsOf checks the limits that depend on the runtime.
func (c checker) limitsOf(rt Runtime) {
	l := c.m.Limits
	switch {
	case rt == WASM && (l.Tasks != 0 || l.CPU != 0):
		c.fault("limits", "tasks and cpu are for binaries only: take them away")
	case rt == WASM && l.Memory > 1<<30:
		c.fault("limits", "memory of a WebAssembly plugin is 1GiB at most")
	case rt == Binary && l.Guests != 0:
		c.fault("limits", "guests are for WebAssembly only: take them away")
	case rt == Binary && l.Memory != 0 && l.Memory < 16<<20:
		c.fault("limits", "memory of a binary is 16MiB at least")
	}
}
