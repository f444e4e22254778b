package main

import (
	"fmt"
	"slices"
	"strings"
)

// join checks a host that is a client of the voters.
func (k *checker) join(cl ClusterConfig) {
	for _, s := range []struct {
		key string
		set bool
	}{
		{"listen", cl.Listen != ""}, {"routes", cl.Routes != ""}, {"mesh", cl.Mesh != ""}, {"peers", len(cl.Peers) > 0},
		{"raft", cl.Raft != Defaults().Cluster.Raft},
	} {
		if s.set {
			k.fault("cluster."+s.key, "is for a host with a server of its own, but cluster.join makes it a client of others: remove one of them")
		}
	}
	for i, addr := range cl.Join {
		key := fmt.Sprintf("cluster.join[%d]", i)
		switch {
		case !k.hostPort(key, addr, 1):
		case strings.HasPrefix(addr, ":"):
			k.fault(key, "%q has no host: give the one that this node reaches", addr)
		case slices.Contains(cl.Join[:i], addr):
			k.fault(key, "%s is listed before", addr)
		}
	}
	if cl.Secret == "" && cl.SecretFile == "" {
		k.fault("cluster.secret", "is missing: give the one of the voters, or secret_file")
	}
	switch t := cl.TLS; {
	case t.CA == "" && t != (TLSConfig{}):
		k.fault("cluster.tls", "has no ca: without it the certificate of a voter means nothing")
	case t.CA == "" && slices.ContainsFunc(cl.Join, isOpen):
		k.fault("cluster.tls", "is missing, but cluster.join is beyond loopback: give ca")
	case (t.Cert == "") != (t.Key == ""):
		k.fault("cluster.tls", "cert and key belong together: give both or none")
	}
}
