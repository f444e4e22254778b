package main

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// errNotBytes is what a koanf.Provider says that has values and no bytes.
var errNotBytes = errors.New("this source has no bytes to parse")

// values is a koanf.Provider of values that are there already.
type values map[string]any

// Read returns the values.
func (v values) Read() (map[string]any, error) { return v, nil }

// ReadBytes is not for this provider.
func (v values) ReadBytes() ([]byte, error) { return nil, errNotBytes }

// put sets the value of a path such as nats.url.
func (v values) put(path string, value any) {
	m := v
	parts := strings.Split(path, ".")
	for _, p := range parts[:len(parts)-1] {
		inner, ok := m[p].(map[string]any)
		if !ok {
			inner = map[string]any{}
			m[p] = inner
		}
		m = inner
	}
	m[parts[len(parts)-1]] = value
}

// given is a set of values and the place that each came from, by path.
type given struct {
	values values
	where  map[string]string
}

func newGiven() given { return given{values{}, map[string]string{}} }

func (g given) put(path string, value any, where string) {
	g.values.put(path, value)
	g.where[path] = where
}

// ownVariables lists what the host gives to each service and hook. A user cannot
// set them there.
func ownVariables() []string {
	return []string{"GCHOST_PLATFORM", "GCHOST_NODE", "GCHOST_APP", "GCHOST_EPOCH", "GCHOST_INSTANCE", "GCHOST_RUN"}
}

// notConfig lists the variables of hooks and services that are no settings, so
// that a gchost command which one of them runs does not stumble over them.
func notConfig() []string {
	return []string{"GCHOST_APP", "GCHOST_EPOCH", "GCHOST_INSTANCE", "GCHOST_RUN", "GCHOST_HOOK", "GCHOST_LEADER", "GCHOST_MEMBER", "GCHOST_MEMBER_ADDRESS",
		"GCHOST_APP_NATS_URL", "GCHOST_APP_NATS_USER", "GCHOST_APP_NATS_PASSWORD", "GCHOST_APP_NATS_CA", "GCHOST_APP_KV_BUCKET"}
}

// oldVariables are the variables without our prefix that are read too; the ones
// with it go first.
func oldVariables() [][2]string {
	return [][2]string{{"NATS_URL", "nats.url"}, {"NODE_ID", "node"}, {"PLATFORM", "platform"}}
}

// fromEnviron reads the settings in an environment of NAME=value. A variable
// without a value counts as not set.
func fromEnviron(environ []string) (given, Faults) {
	g, faults := newGiven(), Faults{}
	vars := map[string]string{}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok && value != "" {
			vars[name] = value
		}
	}
	for _, old := range oldVariables() {
		if value, ok := vars[old[0]]; ok {
			g.put(old[1], value, "environment "+old[0])
		}
	}
	known := map[string]setting{}
	for _, s := range schema() {
		if s.reachable() {
			known[s.variable()] = s
		}
	}
	for name, value := range sorted(vars) {
		if !strings.HasPrefix(name, "GCHOST_") || slices.Contains(notConfig(), name) {
			continue
		}
		s, ok := known[name]
		where := "environment " + name
		switch {
		case !ok:
			faults = append(faults, unknownVariable(name))
		case s.typ.Kind() == reflect.Map:
			m, err := pairs(value)
			if err != nil {
				faults = append(faults, Fault{Where: where, Key: s.path, Text: err.Error()})
				continue
			}
			g.put(s.path, m, where)
		default:
			g.put(s.path, value, where)
		}
	}
	return g, faults
}

func unknownVariable(name string) Fault {
	f := Fault{Where: "environment " + name}
	var names []string
	for _, s := range schema() {
		if s.reachable() {
			names = append(names, s.variable())
		}
	}
	for _, n := range names { // the right words, joined by one _ where two belong
		if strings.ReplaceAll(n, "__", "_") == strings.ReplaceAll(name, "__", "_") {
			f.Text = fmt.Sprintf("unknown variable: did you mean %s?", n)
			return f
		}
	}
	if strings.HasPrefix(name, "GCHOST_APPS") || strings.HasPrefix(name, "GCHOST_CLUSTER__PEERS") || strings.HasPrefix(name, "GCHOST_CLUSTER__JOIN") ||
		strings.HasPrefix(name, "GCHOST_PLUGINS__TRUST") || strings.HasPrefix(name, "GCHOST_PLUGINS__GRANTS") {
		f.Text = "apps, peers, join, trust and grants are set in the file only"
		return f
	}
	lower := make([]string, 0, len(names))
	for _, n := range names {
		lower = append(lower, strings.ToLower(strings.TrimPrefix(n, "GCHOST_")))
	}
	if near, ok := nearest(strings.TrimPrefix(name, "GCHOST_"), lower); ok {
		f.Text = fmt.Sprintf("unknown variable: did you mean GCHOST_%s?", strings.ToUpper(near))
		return f
	}
	f.Text = "unknown variable: see docs/config.md for those there are"
	return f
}

// pairs reads "a=1,b=2".
func pairs(text string) (map[string]any, error) {
	out := map[string]any{}
	for pair := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("%.40q is no key=value: write a=1,b=2", pair)
		}
		if _, twice := out[key]; twice {
			return nil, fmt.Errorf("%q is given twice", key)
		}
		out[key] = value
	}
	return out, nil
}
