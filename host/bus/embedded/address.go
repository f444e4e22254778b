package embedded

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

type setting struct{ setting, addr string }

// addresses lists every address of a configuration with the name of its setting.
func (c Config) addresses() []setting {
	all := []setting{{"Listen", c.Listen}}
	if c.Cluster == nil {
		return all
	}
	all = append(all, setting{"Cluster.Listen", c.Cluster.Listen}, setting{"Cluster.Mesh", c.Cluster.Mesh})
	for _, p := range c.Cluster.Peers {
		name := fmt.Sprintf("Cluster.Peers[%s]", p.Name)
		all = append(all, setting{name + ".Routes", p.Routes}, setting{name + ".Mesh", p.Mesh})
	}
	return all
}

func checkAddress(setting, addr string, anyPort bool) error {
	if addr == "" {
		return invalid("%s is empty: give host:port", setting)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return invalid("%s is %q: give host:port: %w", setting, addr, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return invalid("%s is %q: the port must be a number up to 65535", setting, addr)
	}
	if n == 0 && !anyPort {
		return invalid("%s is %q: the port must be given, the peers have to know it", setting, addr)
	}
	return nil
}

// isLoopback says whether only this machine can reach an address. A name other
// than localhost counts as open: what it resolves to may change.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return true // reported by checkAddress
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// hostPort splits an address that check has seen.
func hostPort(addr string) (host string, port int) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0
	}
	port, _ = strconv.Atoi(p)
	return host, port
}
