package capability

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// webTarget is the part behind "http:". It is comparable.
type webTarget struct {
	methods string // sorted, with commas between; "" for GET and HEAD
	host    string // in lower case, without a dot at its end; "*", "*.name", or an address
	port    uint16 // 0: HTTPS on 443
	path    string // "" for every path
}

func (t webTarget) String() string {
	if t.host == "" {
		return ""
	}
	text := t.host
	if strings.Contains(t.host, ":") {
		text = "[" + t.host + "]"
	}
	if t.port != 0 {
		text += ":" + strconv.Itoa(int(t.port))
	}
	text += t.path
	if t.methods != "" {
		text = t.methods + " " + text
	}
	return text
}

// methods are those of HTTP that can be granted.
func methods() []string { return []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"} }

// byDefault are those of a capability that names none.
func byDefault() []string { return []string{"GET", "HEAD"} }

func (t webTarget) list() []string {
	if t.methods == "" {
		return byDefault()
	}
	return strings.Split(t.methods, ",")
}

func checkWeb(c *Capability) (err error) {
	words := strings.Split(c.what, " ")
	if len(words) == 2 {
		if c.web.methods, err = readMethods(words[0]); err != nil {
			return err
		}
		words = words[1:]
	}
	if len(words) != 1 {
		return fault("there is a blank too many")
	}
	place, path, slash := strings.Cut(words[0], "/")
	if slash {
		if c.web.path, err = checkPath("/" + path); err != nil {
			return err
		}
		if strings.ContainsAny(path, "?#") {
			return fault("a path ends before ? and #")
		}
	}
	host, port, err := splitPlace(place)
	if err != nil {
		return err
	}
	c.web.port = port
	if c.web.path == "/" {
		c.web.path = ""
	}
	c.web.host, err = checkHost(host, true)
	c.what = ""
	return err
}

func readMethods(text string) (string, error) {
	list := strings.Split(text, ",")
	for _, m := range list {
		if !slices.Contains(methods(), m) {
			return "", fault("%q is no method: there are %s", m, strings.Join(methods(), ", "))
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	if slices.Equal(list, byDefault()) {
		return "", nil
	}
	return strings.Join(list, ","), nil
}

// splitPlace takes host and port apart; 0 is no port.
func splitPlace(place string) (host string, port uint16, err error) {
	host, rest := place, ""
	if strings.HasPrefix(place, "[") {
		inside, after, ok := strings.Cut(place[1:], "]")
		if !ok {
			return "", 0, fault("the address %q has no ] at its end", place)
		}
		if a, err := netip.ParseAddr(inside); err != nil || !a.Is6() || a.Zone() != "" {
			return "", 0, fault("%q is no address of IPv6", inside)
		}
		host, rest = inside, after
	} else if i := strings.IndexByte(place, ':'); i >= 0 {
		host, rest = place[:i], place[i:]
	}
	if rest == "" {
		return host, 0, nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(rest, ":"), 10, 16)
	if err != nil || n == 0 || rest != ":"+strconv.FormatUint(n, 10) {
		return "", 0, fault("%q is no port: write 1 to 65535", rest)
	}
	return host, uint16(n), nil
}

// checkHost brings a host to its one form.
func checkHost(host string, wild bool) (string, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" {
			return "", fault("the address %q has a zone: leave it out", host)
		}
		return a.Unmap().String(), nil
	}
	if wild && host == all {
		return host, nil
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	name := host
	if wild {
		name = strings.TrimPrefix(host, "*.")
	}
	if len(name) > 253 {
		return "", fault("the host has %d bytes: the most is 253", len(name))
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return "", fault("the host %q is empty or has a part that no name has", host)
		}
		for i := range len(l) {
			if !letterOrDigit(l[i]) && l[i] != '-' && l[i] != '_' {
				return "", fault("the host %q has %q: allowed are A-Z a-z 0-9 - _ and dots", host, l[i])
			}
		}
	}
	// What ends in a number is an old way to write an address: 127.1, 0x7f.1, 2130706433.
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		return "", fault("the host %q is neither a name nor an address in full", host)
	}
	return host, nil
}

// checkPath refuses a path that another reader may take for another path, and
// returns it in its escaped form.
func checkPath(escaped string) (string, error) {
	if escaped == "" {
		return "/", nil
	}
	lower := strings.ToLower(escaped)
	for _, trick := range []string{"\\", "%2f", "%5c", "%2e", "%252", "%255", "%00"} {
		if strings.Contains(lower, trick) {
			return "", fault("the path %.80q has %q", escaped, trick)
		}
	}
	for i := range len(escaped) {
		if escaped[i] <= ' ' || escaped[i] > '~' {
			return "", fault("the path %.80q has %q: escape it", escaped, escaped[i])
		}
	}
	for segment := range strings.SplitSeq(escaped, "/") {
		if s, _, _ := strings.Cut(segment, ";"); s == "." || s == ".." {
			return "", fault("the path %.80q has the part %q", escaped, segment)
		}
	}
	if _, err := url.PathUnescape(escaped); err != nil {
		return "", fault("the path %.80q: %v", escaped, err)
	}
	return escaped, nil
}

// Target is a URL that has been taken apart, checked, and can be put together
// again in one way only.
type Target struct {
	Scheme string // http or https
	Host   string // in lower case, without port and without a dot at its end
	Port   uint16
	Path   string // escaped, begins with a slash
	Query  string // escaped, without the question mark
}

// MaxURL is the longest URL that can be asked for, in bytes.
const MaxURL = 8 << 10

// ParseTarget reads the URL of a request of a plugin. A fragment is dropped.
//
// # Errors
//
// [pluginapi.ErrInvalid] for all but absolute URLs of http and https without a
// user; for hosts that are neither a name nor an address as it is usually
// written; for paths with "." and ".." or with an escaped slash, dot or
// backslash, which servers read in several ways.
func ParseTarget(raw string) (Target, error) {
	if len(raw) > MaxURL {
		return Target{}, invalid("the URL has %d bytes: the most is %d", len(raw), MaxURL)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return Target{}, invalid("the URL cannot be read: %v", err)
	}
	t := Target{Scheme: u.Scheme, Query: u.RawQuery}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return Target{}, invalid("the URL %.80q has the scheme %q: http and https are allowed", raw, u.Scheme)
	case u.User != nil:
		return Target{}, invalid("the URL has a user: send a header instead")
	case u.Opaque != "" || u.Host == "":
		return Target{}, invalid("the URL %.80q has no host", raw)
	}
	for i := range len(t.Query) {
		if t.Query[i] <= ' ' || t.Query[i] > '~' {
			return Target{}, invalid("the query of the URL has %q: escape it", t.Query[i])
		}
	}
	host, port, err := splitPlace(u.Host)
	if err == nil {
		t.Host, err = checkHost(host, false)
	}
	if err == nil {
		t.Path, err = checkPath(u.EscapedPath())
	}
	if err != nil {
		return Target{}, invalid("the URL cannot be asked for: %v", err)
	}
	if t.Port = port; port == 0 {
		t.Port = defaultPort(t.Scheme)
	}
	return t, nil
}

func defaultPort(scheme string) uint16 {
	if scheme == "http" {
		return 80
	}
	return 443
}

// URL puts the target together.
func (t Target) URL() string {
	text := t.Place()
	if t.Query != "" {
		text += "?" + t.Query
	}
	return text
}

// Place is the URL without its query, which may hold what nobody is to read.
func (t Target) Place() string {
	host := t.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if t.Port != defaultPort(t.Scheme) {
		host += ":" + strconv.Itoa(int(t.Port))
	}
	return t.Scheme + "://" + host + t.Path
}
