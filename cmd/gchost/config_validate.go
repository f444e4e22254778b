package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Limits of the embedded cluster.
const (
	maxPeers  = 4  // other voters: more make every write slower
	minSecret = 16 // bytes of the cluster secret
)

// checker collects the faults of a configuration whose defaults are filled in.
type checker struct{ faults Faults }

// Validate says everything that is wrong with an effective configuration: the
// error is a [Faults] with one line for each. It looks at the values only, not
// at the machine: see CheckFiles.
func (c Config) Validate() error {
	k := &checker{}
	k.name("platform", "platform", c.Platform)
	k.name("node", "node", c.Node)
	k.address("address", c.Address)
	k.dir("data_dir", c.DataDir)
	if c.DataDir == "" {
		k.fault("data_dir", "there is no home folder to put it in: give a folder of this node's own")
	}
	if err := control.CheckLabels(c.Labels); err != nil {
		k.fault("labels", "%s", plainText(err))
	}
	k.within("lease_ttl", c.LeaseTTL, time.Second, 5*time.Minute)
	k.heartbeat(c)
	k.within("hook_timeout", c.HookTimeout, 100*time.Millisecond, time.Hour)
	k.within("shutdown_timeout", c.ShutdownTimeout, time.Second, time.Hour)
	k.listeners(c)
	if c.External() {
		k.nats(c.NATS)
		k.unused(c.Cluster)
	} else {
		k.noNATS(c.NATS)
		k.secretAndFiles(c.Cluster)
		if c.Joins() {
			k.join(c.Cluster)
		} else {
			k.cluster(c)
		}
	}
	k.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	k.oneOf("log.format", c.Log.Format, "text", "json")
	k.plugins(c.Plugins)
	k.apps(c.Apps)
	return k.faults.err()
}

func (k *checker) fault(key, format string, args ...any) {
	k.faults = append(k.faults, Fault{Key: key, Text: fmt.Sprintf(format, args...)})
}

func (k *checker) name(key, what, name string) {
	if err := pluginapi.CheckName(what, name); err != nil {
		k.fault(key, "%s", plainText(err))
	}
}

// plainText is an error without the words "invalid argument: " in front.
func plainText(err error) string {
	return strings.TrimPrefix(err.Error(), string(pluginapi.ErrInvalid)+": ")
}

func (k *checker) within(key string, d, least, most time.Duration) {
	if d < least || d > most {
		k.fault(key, "%s is out of range: give %s to %s", short(d), short(least), short(most))
	}
}

// listeners checks the addresses of the host's own HTTP.
func (k *checker) listeners(c Config) {
	if c.HealthAddr != "" {
		k.hostPort("health_addr", c.HealthAddr, 0)
	}
	if c.MetricsAddr == "" || !k.hostPort("metrics_addr", c.MetricsAddr, 0) {
		return
	}
	if _, port, _ := net.SplitHostPort(c.MetricsAddr); c.MetricsAddr == c.HealthAddr && port != "0" {
		k.fault("metrics_addr", "%s is the address of health_addr too: give each its own", c.MetricsAddr)
	}
}

// heartbeat holds three beats within a lease, so that two may be lost.
func (k *checker) heartbeat(c Config) {
	switch {
	case c.Heartbeat < 100*time.Millisecond:
		k.fault("heartbeat", "%s is out of range: give 100ms or more", short(c.Heartbeat))
	case c.LeaseTTL >= time.Second && c.Heartbeat > c.LeaseTTL/3:
		k.fault("heartbeat", "%s is too long for a lease_ttl of %s: give %s or less, or leave it out", short(c.Heartbeat), short(c.LeaseTTL), short(c.LeaseTTL/3))
	}
}

func (k *checker) oneOf(key, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	if near, ok := nearest(value, allowed); ok {
		k.fault(key, "unknown value %.40q: did you mean %q?", value, near)
		return
	}
	k.fault(key, "unknown value %.40q: give one of %s", value, strings.Join(allowed, ", "))
}

// address is a host, with or without a port, under which others reach a node.
func (k *checker) address(key, s string) {
	host := s
	if h, port, err := net.SplitHostPort(s); err == nil && !strings.Contains(s, "://") {
		host = h
		k.port(key, s, port, 1)
	}
	if !isHost(host) {
		k.fault(key, "%.80q is neither an IP address nor a host name: write 10.0.0.1, or n1.example.com:8080", s)
	} else if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
		k.fault(key, "%q is every address of this machine: give the one that others reach", s)
	}
}

// hostPort is an address to listen on or to dial. An empty host means all
// addresses; least is the lowest port allowed.
func (k *checker) hostPort(key, s string, least int) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host != "" && !isHost(host) {
		k.fault(key, "%.80q is no host:port: write 10.0.0.1:4222", s)
		return false
	}
	return k.port(key, s, port, least)
}

func (k *checker) port(key, s, port string, least int) bool {
	n, err := strconv.Atoi(port)
	if err != nil || n < least || n > 65535 {
		k.fault(key, "port of %.80q is out of range: give %d to 65535", s, least)
		return false
	}
	return true
}

// isHost says whether s is an IP address or looks like a host name.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "-") != label {
			return false
		}
		for _, r := range label {
			if !plainKey(r) {
				return false
			}
		}
	}
	return len(s) <= 253
}

// isOpen says whether other machines can reach an address. What is no address,
// and refused as such, is not open.
func isOpen(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil || host == "localhost" {
		return false
	}
	a, err := netip.ParseAddr(host)
	return err != nil || !a.IsLoopback()
}

// dir and file want absolute paths: a daemon's working directory is anywhere.
func (k *checker) dir(key, path string) { k.path(key, path, "folder") }

func (k *checker) file(key, path string) { k.path(key, path, "file") }

func (k *checker) path(key, path, what string) {
	switch {
	case path == "":
	case strings.ContainsRune(path, 0):
		k.fault(key, "%.80q has a zero byte", path)
	case strings.HasPrefix(path, "~"):
		k.fault(key, "%.200q is not absolute, and ~ is not replaced: give the full path of the %s", path, what)
	case !filepath.IsAbs(path):
		k.fault(key, "%.200q is not absolute: give the full path of the %s", path, what)
	}
}

func (k *checker) tls(key string, t TLSConfig) {
	k.file(key+".ca", t.CA)
	k.file(key+".cert", t.Cert)
	k.file(key+".key", t.Key)
}

func (k *checker) url(key, s string) {
	bad := func(why string) {
		k.fault(key, "%.200q %s: write nats://host:4222 or tls://host:4222", redact(s), why)
	}
	if s == "" || strings.ContainsAny(s, " \t\r\n") {
		bad("is empty or holds a blank")
		return
	}
	full := s
	if !strings.Contains(s, "://") {
		full = "nats://" + s
	}
	u, err := url.Parse(full)
	switch {
	case err != nil:
		bad("is no URL")
	case !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
		bad("has an unknown scheme")
	case !isHost(u.Hostname()):
		bad("has no host")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		bad("has more than host and port")
	case u.Port() != "":
		k.port(key, redact(s), u.Port(), 1)
	}
}

// redact hides user and password of a URL, also of one that cannot be parsed.
func redact(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s
	}
	if scheme, _, ok := strings.Cut(s[:at], "://"); ok {
		return scheme + "://" + masked + s[at:]
	}
	return masked + s[at:]
}

// short writes a duration as a person would: 3s, not 3.000s; 1m, not 1m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
