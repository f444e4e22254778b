package web

import (
	"net/netip"
	"syscall"
)

type rawConn = syscall.RawConn

// public says whether an address is one of the public internet. The ranges are
// those of IANA's registries of special addresses, and those of IPv6 that lead on
// to an address of IPv4.
func public(a netip.Addr) bool {
	if !a.IsValid() || !a.IsGlobalUnicast() || a.IsPrivate() || a.Zone() != "" {
		return false
	}
	for _, text := range special {
		if netip.MustParsePrefix(text).Contains(a) {
			return false
		}
	}
	return true
}

var special = [...]string{
	"0.0.0.0/8",       // this network
	"100.64.0.0/10",   // behind a carrier's NAT
	"192.0.0.0/24",    // protocols
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"240.0.0.0/4",     // reserved
	"::/96",           // IPv4-compatible
	"64:ff9b::/96",    // NAT64
	"64:ff9b:1::/48",  // NAT64
	"100::/64",        // discard
	"2001::/23",       // protocols, Teredo among them
	"2001:db8::/32",   // documentation
	"2002::/16",       // 6to4
	"3fff::/20",       // documentation
	"5f00::/16",       // segment routing
	"fec0::/10",       // site-local
}
