package capability

import (
	"net/netip"
	"slices"
	"strings"
)

// AllowsKey says whether the keys of a kind, KVRead or KVWrite, cover one key.
func (s Set) AllowsKey(kind Kind, key string) bool {
	return checkKey(key) == nil && s.some(kind, func(c Capability) bool { return below(c.what, key, keySeparators) })
}

// AllowsKeys says whether all keys that begin with a prefix may be listed. "" is
// every key.
func (s Set) AllowsKeys(prefix string) bool {
	bare := strings.TrimRight(prefix, keySeparators)
	if prefix != "" && (len(prefix)-len(bare) > 1 || checkKey(bare) != nil) {
		return false
	}
	return s.some(KVRead, func(c Capability) bool {
		last := c.what[len(c.what)-1]
		return c.what == all || strings.IndexByte(keySeparators, last) >= 0 && strings.HasPrefix(prefix, c.what)
	})
}

// AllowsPublish says whether an event may be published under a subject.
func (s Set) AllowsPublish(subject string) bool {
	return checkParts(subject, "-_") == nil && s.some(Publish, func(c Capability) bool { return covers(c.what, subject) })
}

// AllowsCall says whether a method of an app may be called.
func (s Set) AllowsCall(app, method string) bool {
	if checkMethod(method) != nil {
		return false
	}
	return s.some(RPC, func(c Capability) bool {
		a, m, _ := strings.Cut(c.what, "/")
		return a == app && (m == all || m == method)
	})
}

// AllowsHTTP says whether a request may be sent to a target.
func (s Set) AllowsHTTP(method string, t Target) bool {
	return s.some(HTTP, func(c Capability) bool {
		return slices.Contains(c.web.list(), method) && c.web.coversHost(t.Host) &&
			c.web.coversPort(t.Scheme, t.Port) && (c.web.path == "" || below(c.web.path, t.Path, "/"))
	})
}

// NamesAddress says whether the host of a target is an address, not a name, and
// a capability names this very address: whoever granted it knew where it leads.
func (s Set) NamesAddress(t Target) bool {
	if _, err := netip.ParseAddr(t.Host); err != nil {
		return false
	}
	return s.some(HTTP, func(c Capability) bool { return c.web.host == t.Host })
}

// AllowsName says whether a name of a kind, Exec or Secret, may be used.
func (s Set) AllowsName(kind Kind, name string) bool {
	return s.some(kind, func(c Capability) bool { return c.what == name })
}

func (s Set) some(kind Kind, is func(Capability) bool) bool {
	return kind != "" && slices.ContainsFunc(s, func(c Capability) bool { return c.kind == kind && is(c) })
}

func (t webTarget) coversHost(host string) bool {
	if t.host == all || t.host == host {
		return true
	}
	tail, wild := strings.CutPrefix(t.host, "*")
	return wild && strings.HasSuffix(host, tail)
}

func (t webTarget) coversPort(scheme string, port uint16) bool {
	if t.port == 0 {
		return scheme == "https" && port == 443
	}
	return t.port == port
}

// Missing lists what is asked for and not granted, not even in part. What is
// granted in part a plugin gets in part: it may do what both sets allow.
func Missing(asked, granted Set) (missing Set) {
	for _, a := range asked {
		if !granted.some(a.kind, a.overlaps) {
			missing = append(missing, a)
		}
	}
	return missing
}

// overlaps says whether two capabilities of one kind have something in common.
func (c Capability) overlaps(o Capability) bool {
	switch c.kind {
	case KVRead, KVWrite:
		return below(c.what, o.what, keySeparators) || below(o.what, c.what, keySeparators)
	case Publish:
		return meet(c.what, o.what)
	case RPC:
		a, m, _ := strings.Cut(c.what, "/")
		b, n, _ := strings.Cut(o.what, "/")
		return a == b && (m == n || m == all || n == all)
	case HTTP:
		return c.web.overlaps(o.web)
	}
	return c.what == o.what
}

func (t webTarget) overlaps(o webTarget) bool {
	mine := t.list()
	return slices.ContainsFunc(o.list(), func(m string) bool { return slices.Contains(mine, m) }) &&
		(t.coversHost(o.host) || o.coversHost(t.host)) &&
		(t.port == o.port || t.port+o.port == 443) && // 0 is HTTPS on 443
		(t.path == "" || o.path == "" || below(t.path, o.path, "/") || below(o.path, t.path, "/"))
}
