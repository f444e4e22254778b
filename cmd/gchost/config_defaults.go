package main

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Defaults of durations that depend on who runs the NATS servers: the embedded
// one finds a new stream leader in well under a second, a stock one needs up
// to eight.
const (
	ttlEmbedded = 3 * time.Second
	ttlExternal = 12 * time.Second
)

// Defaults is the configuration before anything is read. What depends on the
// machine or on other keys is still empty, see fill.
func Defaults() Config {
	return Config{
		Platform:        "default",
		HookTimeout:     30 * time.Second,
		ShutdownTimeout: 30 * time.Second,
		Cluster:         ClusterConfig{Raft: "lan"},
		Log:             LogConfig{Level: "info", Format: "text"},
	}
}

func (a *AppConfig) setDefaults() { a.Mode = modeSingleton }

func (s *SQLiteConfig) setDefaults() {
	s.SnapshotInterval, s.Retention, s.AlarmMiB = time.Hour, 24*time.Hour, 8<<10
}

func (p *ProcessConfig) setDefaults() {
	p.GracefulTimeout = 10 * time.Second
	p.Restart.setDefaults()
}

func (r *RestartConfig) setDefaults() {
	*r = RestartConfig{Max: 3, Window: time.Minute, Delay: 100 * time.Millisecond}
}

func (d *DockerConfig) setDefaults() {
	d.Socket = "/var/run/docker.sock"
	d.StartTimeout, d.StopTimeout = time.Minute, 10*time.Second
	d.Restart.setDefaults()
}

func (d *DockerCheckConfig) setDefaults() {
	d.Interval, d.Timeout, d.Retries = 30*time.Second, 30*time.Second, 3
}

func (s *SystemdConfig) setDefaults() {
	s.HealthInterval, s.HealthTimeout = 5*time.Second, 3*time.Second
	s.StartTimeout, s.StopTimeout = time.Minute, 30*time.Second
	s.Restart.setDefaults()
}

// Machine is what defaults are taken from.
type Machine struct {
	Hostname  string
	Home      string // "" when there is none
	Root      bool
	Addresses []netip.Addr // in the order of the interfaces
}

// thisMachine looks at the machine that the program runs on. What cannot be
// found out stays empty, and is asked for when a default would need it.
func thisMachine() Machine {
	m := Machine{Root: os.Geteuid() == 0}
	m.Hostname, _ = os.Hostname()
	m.Home, _ = os.UserHomeDir()
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				m.Addresses = append(m.Addresses, ip.Unmap())
			}
		}
	}
	return m
}

func (m Machine) node() string {
	name, _, _ := strings.Cut(m.Hostname, ".")
	return name
}

func (m Machine) dataDir() string {
	switch {
	case m.Root:
		return "/var/lib/gchost"
	case m.Home == "":
		return ""
	}
	return filepath.Join(m.Home, ".local", "share", "gchost")
}

// address is where other nodes reach this one: IPv4 before IPv6, loopback last.
func (m Machine) address() string {
	best := netip.MustParseAddr("127.0.0.1")
	for _, a := range m.Addresses {
		switch {
		case !a.IsGlobalUnicast():
		case a.Is4():
			return a.String()
		case best.Is4():
			best = a
		}
	}
	return best.String()
}

// fill gives every key that is still empty the default that follows from the
// machine or from other keys.
func (c *Config) fill(m Machine) {
	setTo(&c.Node, m.node())
	setTo(&c.Address, m.address())
	setTo(&c.DataDir, m.dataDir())
	ttl := ttlEmbedded
	if c.External() {
		ttl = ttlExternal
	} else if !c.Joins() {
		setTo(&c.Cluster.Listen, "127.0.0.1:4222")
	}
	setTo(&c.LeaseTTL, ttl)
	setTo(&c.Heartbeat, c.LeaseTTL/4)
	if !c.Joins() {
		setTo(&c.Cluster.Mesh, portAfter(c.Cluster.Routes))
	}
	for i := range c.Cluster.Peers {
		p := &c.Cluster.Peers[i]
		setTo(&p.Mesh, portAfter(p.Routes))
		setTo(&p.Client, c.Cluster.clientOf(*p))
	}
	for i := range c.Apps {
		setTo(&c.Apps[i].HookTimeout, c.HookTimeout)
		if p := c.Apps[i].Backend.Process; p != nil && p.Ready.ways() > 0 {
			setTo(&p.Ready.Interval, 200*time.Millisecond)
			setTo(&p.Ready.Timeout, 3*time.Second)
		}
	}
}

// ways counts the ways in which a process is asked whether it is ready.
func (r ReadyConfig) ways() (n int) {
	for _, set := range []bool{r.HTTP != "", r.TCP != "", len(r.Exec) > 0} {
		if set {
			n++
		}
	}
	return n
}

func setTo[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// clientOf is where the clients of a peer connect if all hosts are set up alike:
// the host of its routes and the port of our own clients. It is "" when our
// port says nothing, because it is any free one or for this machine only.
func (c ClusterConfig) clientOf(p PeerConfig) string {
	host, _, err := net.SplitHostPort(p.Routes)
	_, port, errListen := net.SplitHostPort(c.Listen)
	if err != nil || errListen != nil || port == "0" || !isOpen(c.Listen) {
		return ""
	}
	return net.JoinHostPort(host, port)
}

// portAfter returns host:port with the next port, or "" if there is none.
func portAfter(hostport string) string {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return ""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || n == 65535 {
		return ""
	}
	return net.JoinHostPort(host, strconv.FormatUint(n+1, 10))
}
