package capability

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

func set(t *testing.T, texts ...string) Set {
	t.Helper()
	s, err := ParseSet(texts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Each capability has one canonical form, which is read back as the same.
func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"log": "log", "clock": "clock", "random": "random",
		"kv.read:prices.": "kv.read:prices.", "kv.read:*": "kv.read:*", "kv.write:a/b=c/": "kv.write:a/b=c/", "kv.read:limit": "kv.read:limit",
		"publish:alerts.*.>": "publish:alerts.*.>", "publish:>": "publish:>",
		"rpc:billing/charge": "rpc:billing/charge", "rpc:billing/v1/charge:now": "rpc:billing/v1/charge:now", "rpc:a/*": "rpc:a/*",
		"exec:systemctl": "exec:systemctl", "secret:token-1": "secret:token-1",
		"http:Example.COM.":                    "http:example.com",
		"http:example.com/":                    "http:example.com",
		"http:POST,GET,POST example.com:8080/": "http:GET,POST example.com:8080",
		"http:HEAD,GET example.com/v1/":        "http:example.com/v1/",
		"http:*.example.com":                   "http:*.example.com",
		"http:DELETE *":                        "http:DELETE *",
		"http:10.0.0.5:80":                     "http:10.0.0.5:80",
		"http:[FE80:0:0:0::1]:81/x":            "http:[fe80::1]:81/x",
		"http:[::ffff:10.0.0.5]":               "http:10.0.0.5",
	} {
		c, err := Parse(text)
		if err != nil || c.String() != want {
			t.Errorf("%q: %q, %v, want %q", text, c, err, want)
			continue
		}
		if again, err := Parse(c.String()); err != nil || again != c {
			t.Errorf("%q: read again %+v, %v", text, again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "logs", "LOG", "log:", "log:x", "clock:x", "net:x", " log", "log ",
		"kv.read", "kv.read:", "kv.read:.", "kv.read:a..b", "kv.read:a b", "kv.read:a*", "kv.read:**", "kv.read:>", "kv.read:/a", "kv.read:a//b", "kv.read:../a", "kv.read:a/../b", "kv.read:a/./b", "kv.read:é",
		"publish:", "publish:a..b", "publish:a.>.b", "publish:a*", "publish:.a", "publish:a b", "publish:a/b",
		"rpc:a", "rpc:/m", "rpc:a/", "rpc:*/m", "rpc:a.b/m", "rpc:a/m n", "rpc:a/m*",
		"exec:", "exec:/bin/sh", "exec:a b", "exec:../a", "exec:*", "secret:", "secret:a.b", "secret:*",
		"http:", "http: a", "http:a b c", "http:get a", "http:CONNECT a", "http:TRACE a", "http:GET,a", "http:https://a", "http:user@a", "http:a:0", "http:a:65536", "http:a:080", "http:a:", "http:a:b", "http:a:+80",
		"http:a?x", "http:a/x?y", "http:a/x#y", "http:a/../b", "http:a/%2e%2e/b", "http:a/..;x/b", "http:a/b%2fc", "http:a/b%5Cc", "http:a\\b", "http:a/\\b", "http:a/%zz",
		"http:-a", "http:a-", "http:a..b", "http:.a", "http:*a", "http:*.*", "http:a.*", "http:*.", "http:127.1", "http:0x7f.1", "http:2130706433", "http:127.0.0.1.", "http:[::1", "http:[::1]x", "http:[127.0.0.1]", "http:[fe80::1%25eth0]", "http:fe80::1", "http:é.com",
		"http:" + strings.Repeat("a", 64), "http:" + strings.Repeat("a.", 127) + "aa", "kv.read:" + strings.Repeat("a", 256), "log" + strings.Repeat("x", MaxLength),
	} {
		if c, err := Parse(text); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%q was read as %q, %v", text, c, err)
		} else if len(err.Error()) > 2*MaxLength {
			t.Errorf("%.20q: an error of %d bytes", text, len(err.Error()))
		}
	}
}

func TestKeys(t *testing.T) {
	s := set(t, "kv.read:app", "kv.read:prices.", "kv.read:a/b/", "kv.write:out.")
	for key, want := range map[string]bool{
		"app": true, "app2": false, "app.x": false, "ap": false, "": false, "APP": false,
		"prices.eur": true, "prices.a.b": true, "prices": false, "prices.": false, "pricesx": false, "prices..x": false, "x.prices.eur": false,
		"a/b/c": true, "a/b": false, "a/b/../c": false, "a/b/./c": false, "a/b//c": false, "a/bc": false, "/a/b/c": false,
		"prices.*": false, "prices.>": false, "prices.x y": false, "prices.\x00": false, "prices.é": false, "out.x": false, "*": false,
		"prices." + strings.Repeat("x", 300): false,
	} {
		if got := s.AllowsKey(KVRead, key); got != want {
			t.Errorf("read %q: %v", key, got)
		}
	}
	if s.AllowsKey(KVWrite, "prices.eur") || !s.AllowsKey(KVWrite, "out.x") {
		t.Error("reading is not writing")
	}
	if everything := set(t, "kv.read:*"); !everything.AllowsKey(KVRead, "a") || everything.AllowsKey(KVRead, "a/../b") || everything.AllowsKey(KVWrite, "a") {
		t.Error("* covers every key, and nothing else")
	}
	for prefix, want := range map[string]bool{
		"prices.": true, "prices.eur": true, "prices.eur.": true, "a/b/": true, "a/b/c": true,
		"": false, "prices": false, "app": false, "app.": false, "price": false, "prices..": false, "a/b/../": false, "*": false, ">": false, "prices.*": false, ".": false, "./": false,
	} {
		if got := s.AllowsKeys(prefix); got != want {
			t.Errorf("list %q: %v", prefix, got)
		}
	}
	if !set(t, "kv.read:*").AllowsKeys("") {
		t.Error("* covers the list of all keys")
	}
}

func TestPublish(t *testing.T) {
	s := set(t, "publish:alerts.*.down", "publish:jobs.>", "publish:exact")
	for subject, want := range map[string]bool{
		"alerts.db.down": true, "alerts.db.up": false, "alerts.down": false, "alerts.a.b.down": false, "alerts.*.down": false, "alerts.>": false, "alerts..down": false,
		"jobs.a": true, "jobs.a.b": true, "jobs": false, "jobs.": false, "jobs.>": false, "jobs.*": false, "jobs.a b": false, "jobs.a\r\nPUB x": false,
		"exact": true, "exact.x": false, "exactly": false, "": false, ">": false, "*": false,
	} {
		if got := s.AllowsPublish(subject); got != want {
			t.Errorf("%q: %v", subject, got)
		}
	}
}

func TestCalls(t *testing.T) {
	s := set(t, "rpc:billing/charge", "rpc:stock/*", "rpc:a/v1/get")
	for _, c := range []struct {
		app, method string
		want        bool
	}{
		{"billing", "charge", true}, {"billing", "refund", false}, {"billing", "charge2", false}, {"billing", "*", false}, {"billing", "", false}, {"Billing", "charge", false}, {"billing2", "charge", false},
		{"stock", "anything", true}, {"stock", "", false}, {"stock", "a b", false}, {"stock/x", "y", false}, {"*", "charge", false}, {"", "charge", false},
		{"a", "v1/get", true}, {"a/v1", "get", false}, {"a", "v1", false},
	} {
		if got := s.AllowsCall(c.app, c.method); got != c.want {
			t.Errorf("%s %s: %v", c.app, c.method, got)
		}
	}
}

func TestWeb(t *testing.T) {
	s := set(t, "http:POST hooks.example.com/alerts/", "http:GET *.example.org", "http:plain.example.com:80", "http:GET 10.0.0.5:8080", "http:GET [2001:db8::1]/x", "http:PUT one.example.com/a")
	for _, c := range []struct {
		method, url string
		want        bool
	}{
		{"POST", "https://hooks.example.com/alerts/x?y=1#z", true},
		{"POST", "HTTPS://HOOKS.Example.com.:443/alerts/", true},
		{"GET", "https://hooks.example.com/alerts/x", false},
		{"post", "https://hooks.example.com/alerts/x", false},
		{"POST", "http://hooks.example.com/alerts/x", false},
		{"POST", "http://hooks.example.com:443/alerts/x", false},
		{"POST", "https://hooks.example.com:8443/alerts/x", false},
		{"POST", "https://hooks.example.com/alerts", false},
		{"POST", "https://hooks.example.com/alerts2/x", false},
		{"POST", "https://hooks.example.com/other", false},
		{"POST", "https://hooks.example.com//alerts/x", false},
		{"POST", "https://hooks.example.com/Alerts/x", false},
		{"POST", "https://hooks.example.com.evil.com/alerts/x", false},
		{"POST", "https://evilhooks.example.com/alerts/x", false},
		{"POST", "https://example.com/alerts/x", false},
		{"GET", "https://a.example.org/", true},
		{"GET", "https://a.b.example.org/x", true},
		{"GET", "https://example.org/", false},
		{"GET", "https://evilexample.org/", false},
		{"HEAD", "https://a.example.org/", false},
		{"GET", "http://plain.example.com/", true},
		{"GET", "https://plain.example.com:80/", true},
		{"HEAD", "http://plain.example.com/", true},
		{"POST", "http://plain.example.com/", false},
		{"GET", "https://plain.example.com/", false},
		{"GET", "http://10.0.0.5:8080/", true},
		{"GET", "http://[::ffff:10.0.0.5]:8080/", true},
		{"GET", "http://10.0.0.50:8080/", false},
		{"GET", "http://10.0.0.5:80/", false},
		{"GET", "https://[2001:DB8:0::1]/x", true},
		{"GET", "https://[2001:db8::1]/x/y", false},
		{"PUT", "https://one.example.com/a", true},
		{"PUT", "https://one.example.com/ab", false},
		{"PUT", "https://one.example.com/", false},
		{"PUT", "https://one.example.com/a?x=../b", true},
	} {
		target, err := ParseTarget(c.url)
		if got := err == nil && s.AllowsHTTP(c.method, target); got != c.want {
			t.Errorf("%s %s: %v, %v", c.method, c.url, got, err)
		}
	}
}

// What several readers could take for several things is no target at all.
func TestTargetRefuses(t *testing.T) {
	for _, url := range []string{
		"", "example.com", "//example.com/", "/x", "ftp://example.com/", "file:///etc/passwd", "https:example.com", "https:///x", "javascript:x",
		"https://user@example.com/", "https://hooks.example.com@evil.com/", "https://hooks.example.com:443@evil.com/", "https://@example.com/",
		"https://a/../b", "https://a/b/..", "https://a/./b", "https://a/%2e%2e/b", "https://a/%2E./b", "https://a/..%2fb", "https://a/..%5cb", "https://a/..\\b", "https://a/b/..;/c", "https://a/%252e%252e/c", "https://a/%00",
		"https://a b/", "https://a\\b/", "https://a/ b?c d", "https://a/?b\r\nHost: c", "https://a/\n", "https://[::1/", "https://[fe80::1%25eth0]/", "https://::1/", "https://a:b/", "https://a:0/", "https://a:99999/", "https://a:/",
		"https://127.1/", "https://0x7f.0.0.1/", "https://2130706433/", "https://0177.0.0.1/", "https://127.0.0.1./", "https://é.com/", "https://a%00b/", "https://%61.com/", "https://a..b/", "https://" + strings.Repeat("a", MaxURL),
	} {
		if target, err := ParseTarget(url); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%.60q was read as %+v, %v", url, target, err)
		}
	}
}

// The address that a capability names, and only that, is known to lead inside.
func TestNamesAddress(t *testing.T) {
	s := set(t, "http:GET 10.0.0.5:8080", "http:GET *", "http:GET *.example.com", "http:GET inside.example.com")
	for url, want := range map[string]bool{
		"http://10.0.0.5:8080/": true, "https://10.0.0.6/": false, "https://127.0.0.1/": false, "https://inside.example.com/": false, "https://x.example.com/": false,
	} {
		target, err := ParseTarget(url)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.NamesAddress(target); got != want {
			t.Errorf("%s: %v", url, got)
		}
	}
}

func TestNames(t *testing.T) {
	s := set(t, "exec:restart", "secret:token")
	if !s.AllowsName(Exec, "restart") || s.AllowsName(Exec, "token") || s.AllowsName(Secret, "restart") || s.AllowsName(Exec, "") || s.AllowsName(Exec, "restart2") || s.AllowsName(Exec, "*") {
		t.Error("a name is that name only")
	}
}

// Nothing is allowed by nothing.
func TestEmptySet(t *testing.T) {
	target, err := ParseTarget("https://example.com/")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []Set{nil, {}, {Capability{}}} {
		if s.AllowsKey(KVRead, "a") || s.AllowsKey("", "a") || s.AllowsKeys("") || s.AllowsPublish("a") || s.AllowsCall("a", "b") || s.AllowsHTTP("GET", target) || s.AllowsName(Exec, "") || s.AllowsName("", "") || s.NamesAddress(target) {
			t.Errorf("%v allows something", s)
		}
		for _, k := range Kinds() {
			if s.Has(k) {
				t.Errorf("%v has %s", s, k)
			}
		}
	}
}

// Missing is what has no part in common with what is granted.
func TestMissing(t *testing.T) {
	for _, c := range []struct {
		asked, granted, missing []string
	}{
		{[]string{"log"}, []string{"log", "clock"}, nil},
		{[]string{"log", "clock"}, []string{"log"}, []string{"clock"}},
		{[]string{"kv.read:*", "kv.write:a."}, []string{"kv.read:a.b"}, []string{"kv.write:a."}},
		{[]string{"kv.read:a.b."}, []string{"kv.read:a."}, nil},
		{[]string{"kv.read:app"}, []string{"kv.read:app2"}, []string{"kv.read:app"}},
		{[]string{"publish:a.*"}, []string{"publish:*.b"}, nil},
		{[]string{"publish:a.b"}, []string{"publish:a.b.>"}, []string{"publish:a.b"}},
		{[]string{"publish:a.>"}, []string{"publish:>"}, nil},
		{[]string{"rpc:a/*"}, []string{"rpc:a/x"}, nil},
		{[]string{"rpc:a/y"}, []string{"rpc:a/x", "rpc:b/y"}, []string{"rpc:a/y"}},
		{[]string{"http:POST *"}, []string{"http:POST a.com/x/"}, nil},
		{[]string{"http:POST *"}, []string{"http:a.com"}, []string{"http:POST *"}},
		{[]string{"http:*.a.com"}, []string{"http:x.a.com:443"}, nil},
		{[]string{"http:a.com:80"}, []string{"http:a.com"}, []string{"http:a.com:80"}},
		{[]string{"http:a.com/x/"}, []string{"http:a.com/y/"}, []string{"http:a.com/x/"}},
		{[]string{"exec:a", "secret:a"}, []string{"exec:a"}, []string{"secret:a"}},
		{[]string{"log", "exec:a"}, nil, []string{"log", "exec:a"}},
	} {
		if got := Missing(set(t, c.asked...), set(t, c.granted...)).Strings(); !slices.Equal(got, append([]string{}, c.missing...)) {
			t.Errorf("%q of %q: missing %q, want %q", c.asked, c.granted, got, c.missing)
		}
	}
}

func TestJSON(t *testing.T) {
	text, err := json.Marshal(set(t, "log", "http:POST *"))
	if err != nil || string(text) != `["log","http:POST *"]` {
		t.Errorf("%s, %v", text, err)
	}
	var s Set
	if err := json.Unmarshal(text, &s); err != nil || !slices.Equal(s, set(t, "log", "http:POST *")) {
		t.Errorf("%v, %v", s, err)
	}
	if err := json.Unmarshal([]byte(`["net:x"]`), &s); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("an unknown capability: %v", err)
	}
}

// What is read has one form; what is granted and not asked for is never reached
// through a request that either set refuses; a request that both allow means that
// the sets overlap.
func FuzzCapability(f *testing.F) {
	for _, s := range [][3]string{
		{"kv.read:a.", "kv.read:*", "a.b"}, {"publish:a.*", "publish:>", "a.b"}, {"rpc:a/b", "rpc:a/*", "a/b"},
		{"http:GET *.a.com/x/", "http:a.com:443", "https://b.a.com/x/y"}, {"exec:a", "exec:a", "a"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, a, b, word string) {
		x, errA := Parse(a)
		y, errB := Parse(b)
		if errA == nil {
			if again, err := Parse(x.String()); err != nil || again != x {
				t.Fatalf("%q: %q is read as %q, %v", a, x, again, err)
			}
		}
		target, err := ParseTarget(word)
		if err == nil {
			if again, err := ParseTarget(target.URL()); err != nil || again != target {
				t.Fatalf("%q: %q is read as %+v, %v", word, target.URL(), again, err)
			}
		}
		if errA != nil || errB != nil || x.Kind() != y.Kind() {
			return
		}
		app, method, _ := strings.Cut(word, "/")
		by := func(s Set) bool {
			return s.AllowsKey(x.Kind(), word) || x.Kind() == KVRead && s.AllowsKeys(word) || s.AllowsPublish(word) || s.AllowsCall(app, method) ||
				err == nil && s.AllowsHTTP("GET", target) || s.AllowsName(x.Kind(), word)
		}
		if by(Set{x}) && by(Set{y}) && len(Missing(Set{x}, Set{y})) > 0 {
			t.Fatalf("%q and %q both allow %q and have nothing in common", x, y, word)
		}
	})
}
