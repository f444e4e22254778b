package chaos

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
)

const secret = "a secret of the tests, as long as it must be"

// configure writes the configuration of all hosts.
func (w *world) configure() {
	w.t.Helper()
	if w.o.machines {
		w.certify()
	}
	for _, h := range w.hosts {
		if err := os.WriteFile(h.configPath(), []byte(h.config()), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (h *host) config() string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("platform: %s\nnode: %s\naddress: %s\ndata_dir: %s\nlease_ttl: %v", h.w.name, h.name, h.address(), h.dataPath(), h.w.o.ttl)
	say("log: {format: json, level: debug}")
	switch {
	case h.w.o.external:
		say("nats: {url: \"nats://127.0.0.1:%d\"}", natsPort)
	case slices.Contains(h.w.joined(), h):
		say("cluster:\n  secret: %s\n  join:", secret)
		for _, o := range h.w.voters() {
			say("    - %s", o.client())
		}
		if h.w.o.machines {
			say("  tls: {ca: %s/ca.pem}", h.w.dir)
		}
	default:
		say("cluster:\n  listen: %s\n  routes: %s\n  mesh: %s\n  secret: %s\n  peers:", h.client(), h.routes(), h.mesh(), secret)
		for _, o := range h.w.voters() {
			if o.name != h.name {
				say("    - {name: %s, routes: \"%s\", mesh: \"%s\", client: \"%s\"}", o.name, o.routes(), o.mesh(), o.client())
			}
		}
		if h.w.o.machines {
			say("  tls: {ca: %[1]s/ca.pem, cert: %[1]s/cert.pem, key: %[1]s/key.pem}", h.w.dir)
		}
	}
	if h.w.o.wan {
		say("  raft: wan")
	}
	if h.w.o.voters > 0 && slices.Contains(h.w.voters(), h) {
		return b.String()
	}
	say("apps:")
	for _, app := range h.w.o.apps {
		say("  - name: %s\n    backend:\n      process:\n        command: %s\n        args: [%s]\n        graceful_timeout: 30s", app, h.w.self, roleActor)
		say("        ready: {exec: [/bin/sh, -c, \"test -e $CHAOS_GATE/$GCHOST_RUN\"], interval: 20ms}")
		if h.w.o.hooks {
			say("    hooks:")
			for _, key := range []string{"on_active", "on_passive", "on_stop", "on_leader_change", "on_member_join", "on_member_leave"} {
				say("      %s: [%s, %s]", key, h.w.self, roleHook)
			}
		}
	}
	return b.String()
}

// librarySpec is what a library node is told.
func (w *world) librarySpec(h *host) string {
	s := *w.o.library
	s.Platform, s.Node, s.DataDir, s.TTL, s.Apps = w.name, h.name, h.dataPath(), w.o.ttl, w.o.apps
	if w.o.external {
		s.URL = fmt.Sprintf("nats://127.0.0.1:%d", natsPort)
	} else {
		s.Embedded = cluster.EmbeddedConfig{Listen: h.client(), Secret: secret, Cluster: &cluster.EmbeddedCluster{Listen: h.routes(), Mesh: h.mesh()}}
		if w.o.machines {
			s.Embedded.TLS = cluster.EmbeddedTLS{CA: w.dir + "/ca.pem", Cert: w.dir + "/cert.pem", Key: w.dir + "/key.pem"}
		}
		for _, o := range w.hosts {
			if o.name != h.name {
				s.Embedded.Cluster.Peers = append(s.Embedded.Cluster.Peers, cluster.EmbeddedPeer{Name: o.name, Routes: o.routes(), Mesh: o.mesh()})
				s.Peers = append(s.Peers, "nats://"+o.client())
			}
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// startNATS starts the existing NATS of a world; it keeps its store.
func (w *world) startNATS() {
	w.t.Helper()
	w.nats = w.run("nats", filepath.Join(w.dir, "nats.log"), []string{w.self, roleNATS}, []string{envSpec + "=" + filepath.Join(w.dir, "nats")})
	w.await(20*time.Second, "the existing NATS listens", w.natsAnswers)
}

// certify makes an authority and one certificate that is good for all hosts.
func (w *world) certify() {
	w.t.Helper()
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "chaos"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "host"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	for _, h := range w.hosts {
		leaf.IPAddresses = append(leaf.IPAddresses, net.ParseIP(h.address()))
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must := func(err error) {
		if err != nil {
			w.t.Fatal(err)
		}
	}
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	must(err)
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	for name, block := range map[string]pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: caDER}, "cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		must(os.WriteFile(filepath.Join(w.dir, name), pem.EncodeToMemory(&block), 0o600))
	}
}
