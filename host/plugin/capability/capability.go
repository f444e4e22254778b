package capability

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Kind is what a capability is about: what stands before its colon.
type Kind string

// The kinds of capabilities.
const (
	Log     Kind = "log"
	Clock   Kind = "clock"
	Random  Kind = "random"
	KVRead  Kind = "kv.read"
	KVWrite Kind = "kv.write"
	Publish Kind = "publish"
	RPC     Kind = "rpc"
	HTTP    Kind = "http"
	Exec    Kind = "exec"
	Secret  Kind = "secret"
)

// Kinds lists all kinds, in the order in which documents name them.
func Kinds() []Kind {
	return []Kind{Log, Clock, Random, KVRead, KVWrite, Publish, RPC, HTTP, Exec, Secret}
}

// MaxLength is the longest text of a capability, in bytes.
const MaxLength = 512

// Capability is one thing that a plugin may do. The zero value allows nothing.
type Capability struct {
	kind Kind
	what string // prefix, subject, "app/method", name; "" for log, clock, random, http
	web  webTarget
}

// Kind returns what it is about.
func (c Capability) Kind() Kind { return c.kind }

// Name returns what stands behind the colon: for exec and secret the name that
// the operator has to define.
func (c Capability) Name() string {
	if c.kind == HTTP {
		return c.web.String()
	}
	return c.what
}

// String returns the text that Parse reads, in its one canonical form.
func (c Capability) String() string {
	if n := c.Name(); n != "" {
		return string(c.kind) + ":" + n
	}
	return string(c.kind)
}

// MarshalText writes the canonical form.
func (c Capability) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is Parse.
func (c *Capability) UnmarshalText(text []byte) (err error) {
	*c, err = Parse(string(text))
	return err
}

// Parse reads one capability.
//
// # Errors
//
// [pluginapi.ErrInvalid], with what is wrong and how to write it.
func Parse(text string) (Capability, error) {
	if len(text) > MaxLength {
		return Capability{}, invalid("%.40q... has %d bytes: the longest capability has %d", text, len(text), MaxLength)
	}
	word, what, hasWhat := strings.Cut(text, ":")
	c := Capability{kind: Kind(word), what: what}
	check, known := checkOf(c.kind)
	switch {
	case !known:
		return Capability{}, invalid("unknown capability %q: there are %s", text, kindList())
	case check == nil && hasWhat:
		return Capability{}, invalid("%q: write %q alone, it takes nothing behind it", text, word)
	case check != nil && what == "":
		return Capability{}, invalid("%q says nothing of what is meant: write %s", text, form(c.kind))
	case check == nil:
		return c, nil
	}
	if err := check(&c); err != nil {
		return Capability{}, fmt.Errorf("%w: capability %q: %w: write %s", pluginapi.ErrInvalid, text, err, form(c.kind))
	}
	return c, nil
}

// checkOf returns what checks, and brings to its canonical form, the part behind
// the colon; nil for a kind that has none.
func checkOf(k Kind) (check func(*Capability) error, known bool) {
	switch k {
	case Log, Clock, Random:
		return nil, true
	case KVRead, KVWrite:
		return checkPrefix, true
	case Publish:
		return checkSubject, true
	case RPC:
		return checkCall, true
	case HTTP:
		return checkWeb, true
	case Exec, Secret:
		return checkName, true
	}
	return nil, false
}

// form is how a capability of a kind is written.
func form(k Kind) string {
	switch k {
	case KVRead, KVWrite:
		return string(k) + ":PREFIX, as in " + string(k) + ":prices. (all below) or " + string(k) + ":limit (this key)"
	case Publish:
		return "publish:SUBJECT, as in publish:alerts.*"
	case RPC:
		return "rpc:APP/METHOD, as in rpc:billing/charge"
	case HTTP:
		return "http:[METHOD,...] HOST[:PORT][/PATH], as in http:POST hooks.example.com/alerts/"
	case Exec, Secret:
		return string(k) + ":NAME, as in " + string(k) + ":main"
	}
	return string(k)
}

func kindList() string {
	var all []string
	for _, k := range Kinds() {
		all = append(all, string(k))
	}
	return strings.Join(all, ", ")
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", pluginapi.ErrInvalid, fmt.Sprintf(format, args...))
}

// fault is what is wrong with a part of a capability or of a request.
func fault(format string, args ...any) error { return faultError(fmt.Sprintf(format, args...)) }

type faultError string

func (f faultError) Error() string { return string(f) }

// Set is what a plugin asks for, or what it is granted.
type Set []Capability

// ParseSet reads capabilities, all of them even if some are wrong.
//
// # Errors
//
// Those of Parse, joined.
func ParseSet(texts []string) (Set, error) {
	var (
		out    Set
		faults []error
	)
	for _, t := range texts {
		c, err := Parse(t)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		out = append(out, c)
	}
	return out, join(faults)
}

// Has says whether there is a capability of a kind.
func (s Set) Has(k Kind) bool {
	for _, c := range s {
		if c.kind == k {
			return true
		}
	}
	return false
}

// Strings lists the capabilities as texts.
func (s Set) Strings() []string {
	out := make([]string, 0, len(s))
	for _, c := range s {
		out = append(out, c.String())
	}
	return out
}

// MarshalJSON writes a list of texts, an empty one for none.
func (s Set) MarshalJSON() ([]byte, error) { return json.Marshal(s.Strings()) }
