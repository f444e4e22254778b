package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// nats checks the keys of a NATS that somebody else runs.
func (k *checker) nats(n NATSConfig) {
	for u := range strings.SplitSeq(n.URL, ",") {
		k.url("nats.url", strings.TrimSpace(u))
	}
	k.file("nats.creds", n.Creds)
	k.file("nats.nkey", n.NKey)
	k.tls("nats.tls", n.TLS)
	if (n.TLS.Cert == "") != (n.TLS.Key == "") {
		k.fault("nats.tls", "cert and key belong together: give both or none")
	}
	var logins []string
	for _, l := range []struct {
		set  bool
		name string
	}{{n.Creds != "", "creds"}, {n.NKey != "", "nkey"}, {n.User != "" || n.Password != "", "user and password"}, {n.Token != "", "token"}} {
		if l.set {
			logins = append(logins, l.name)
		}
	}
	if len(logins) > 1 {
		k.fault("nats", "has %s: give one kind of login", strings.Join(logins, " and "))
	}
	if n.Password != "" && n.User == "" {
		k.fault("nats.user", "is missing: there is a nats.password")
	}
}

// unused refuses what would have no effect next to nats.url.
func (k *checker) unused(c ClusterConfig) {
	for _, s := range []struct {
		key string
		set bool
	}{
		{"join", len(c.Join) > 0}, {"listen", c.Listen != ""}, {"routes", c.Routes != ""}, {"mesh", c.Mesh != ""}, {"peers", len(c.Peers) > 0},
		{"secret", c.Secret != ""}, {"secret_file", c.SecretFile != ""}, {"tls", c.TLS != TLSConfig{}},
		{"raft", c.Raft != Defaults().Cluster.Raft},
	} {
		if s.set {
			k.fault("cluster."+s.key, "is for the embedded server, but nats.url names another: remove one of them")
		}
	}
}

// noNATS refuses a login without a server to log in to.
func (k *checker) noNATS(n NATSConfig) {
	for _, s := range []struct {
		key string
		set bool
	}{
		{"creds", n.Creds != ""}, {"nkey", n.NKey != ""}, {"user", n.User != ""}, {"password", n.Password != ""},
		{"token", n.Token != ""}, {"tls", n.TLS != TLSConfig{}},
	} {
		if s.set {
			k.fault("nats."+s.key, "is for an existing NATS: give nats.url too")
		}
	}
}

// secretAndFiles checks what voters and the hosts that join them both have.
func (k *checker) secretAndFiles(cl ClusterConfig) {
	k.file("cluster.secret_file", cl.SecretFile)
	k.tls("cluster.tls", cl.TLS)
	switch {
	case cl.Secret != "" && cl.SecretFile != "":
		k.fault("cluster.secret", "is given, and secret_file too: keep one")
	case cl.Secret != "" && len(cl.Secret) < minSecret:
		k.fault("cluster.secret", "has %d bytes: give %d or more, from \"openssl rand -hex 32\" say", len(cl.Secret), minSecret)
	}
}

// cluster checks the embedded server.
func (k *checker) cluster(c Config) {
	cl := c.Cluster
	if cl.Join != nil {
		k.fault("cluster.join", "is empty: name the voters, or leave it out for a server of this host's own")
	}
	k.hostPort("cluster.listen", cl.Listen, 0)
	k.oneOf("cluster.raft", cl.Raft, "lan", "wan")
	if t := cl.TLS; t != (TLSConfig{}) && (t.CA == "" || t.Cert == "" || t.Key == "") {
		k.fault("cluster.tls", "ca, cert and key belong together: give all three or none")
	}
	k.voters(c)
	k.open(cl)
}

// voters checks the other servers and that no two share an address.
func (k *checker) voters(c Config) {
	cl := c.Cluster
	if cl.Routes == "" {
		if len(cl.Peers) > 0 {
			k.fault("cluster.routes", "is missing: give the host:port at which the peers reach this node")
		}
		if cl.Mesh != "" {
			k.fault("cluster.mesh", "is for a cluster: give cluster.routes too")
		}
		return
	}
	taken := map[string]string{cl.Listen: "cluster.listen"}
	k.peerAddress(taken, "cluster.routes", cl.Routes)
	k.peerAddress(taken, "cluster.mesh", cl.Mesh)
	if n := len(cl.Peers); n == 0 {
		k.fault("cluster.peers", "is empty: name the other voters, or leave cluster.routes out for a single server")
	} else if n > maxPeers {
		k.fault("cluster.peers", "names %d other voters: at most %d, so that there are %d in all", n, maxPeers, maxPeers+1)
	}
	seen := map[string]bool{}
	for i, p := range cl.Peers {
		key := fmt.Sprintf("cluster.peers[%d]", i)
		switch k.name(key+".name", "peer", p.Name); {
		case p.Name == c.Node:
			k.fault(key+".name", "%q is this node: list the others only", p.Name)
		case seen[p.Name]:
			k.fault(key+".name", "%q is listed before", p.Name)
		}
		seen[p.Name] = pluginapi.CheckName("peer", p.Name) == nil
		k.peerAddress(taken, key+".routes", p.Routes)
		k.peerAddress(taken, key+".mesh", p.Mesh)
		k.peerAddress(taken, key+".client", p.Client)
	}
}

func (k *checker) peerAddress(taken map[string]string, key, addr string) {
	if addr == "" && !strings.HasSuffix(key, ".routes") {
		return // it follows from routes, which has the fault
	}
	if !k.hostPort(key, addr, 1) {
		return
	}
	if strings.HasPrefix(key, "cluster.peers") && strings.HasPrefix(addr, ":") {
		k.fault(key, "%q has no host: give the one that this node reaches", addr)
	}
	if other, ok := taken[addr]; ok {
		k.fault(key, "%s is the address of %s too: give each its own", addr, other)
	}
	taken[addr] = key
}

// open wants TLS and a secret where other machines can reach the server.
func (k *checker) open(cl ClusterConfig) {
	var open []string
	for _, a := range []struct{ key, addr string }{{"cluster.listen", cl.Listen}, {"cluster.routes", cl.Routes}, {"cluster.mesh", cl.Mesh}} {
		if isOpen(a.addr) {
			open = append(open, a.key)
		}
	}
	if slices.ContainsFunc(cl.Peers, func(p PeerConfig) bool { return isOpen(p.Routes) }) {
		open = append(open, "cluster.peers")
	}
	if len(open) == 0 {
		if len(cl.Peers) > 0 && cl.Secret == "" && cl.SecretFile == "" {
			k.fault("cluster.secret", "is missing: the servers of a cluster share one, give it or secret_file")
		}
		return
	}
	what := strings.Join(open, ", ") + " " + isOrAre(open) + " beyond loopback"
	if cl.TLS == (TLSConfig{}) {
		k.fault("cluster.tls", "is missing, but %s: give ca, cert and key, or use 127.0.0.1", what)
	}
	if cl.Secret == "" && cl.SecretFile == "" {
		k.fault("cluster.secret", "is missing, but %s: give it or secret_file", what)
	}
}

func isOrAre(list []string) string {
	if len(list) == 1 {
		return "is"
	}
	return "are"
}
