package embedded

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ozanturksever/go-cluster/host/bus"
)

// authority makes certificates for 127.0.0.1.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	made int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.make(t, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func (a *authority) make(t *testing.T, name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.made++
	c.SerialNumber, c.Subject = big.NewInt(a.made), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	kb, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(a.dir, name+".pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, filepath.Join(a.dir, name+".key"), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: kb})))
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c, key
}

func (a *authority) server(t *testing.T, name string) TLS {
	t.Helper()
	a.make(t, name, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	file := func(s string) string { return filepath.Join(a.dir, s) }
	return TLS{CA: file("ca.pem"), Cert: file(name + ".pem"), Key: file(name + ".key")}
}

// G13: with TLS, servers of the cluster's CA form a cluster, one with a
// certificate of another CA gets no route and no place in the mesh though it
// knows the secret and the name of a voter, and clients check the server.
func TestTLSCluster(t *testing.T) {
	ours, foreign := newAuthority(t), newAuthority(t)
	cfgs := voters(t, 3)
	var refused lines
	for i := range cfgs {
		cfgs[i].TLS = ours.server(t, cfgs[i].Name)
		cfgs[i].Logger = refused.logger(slog.LevelDebug)
	}
	all := runAll(t, cfgs)
	checkTLSClients(t, all[0], ours)

	if err := all[2].stop(); err != nil {
		t.Fatal(err)
	}
	// The stranger trusts our CA, so that only our check can refuse it.
	stranger := cfgs[2]
	stranger.TLS = foreign.server(t, "c")
	stranger.TLS.CA = cfgs[0].TLS.CA
	stranger.Logger = nil
	c := run(t, stranger)
	eventually(t, "the stranger was refused on routes and mesh", func() bool {
		return refused.with("TLS route handshake error") > 0 && refused.with(`err="greet peer: tls`) > 0
	})
	if n := c.running.Load().nats.NumRoutes(); n != 0 {
		t.Errorf("the stranger has %d routes", n)
	}
	if st := c.State(); len(st.PeersUp) != 0 || st.MetaLeader != "" {
		t.Errorf("the stranger's state is %+v", st)
	}
	eventually(t, "the other two work on", func() bool {
		a, b := all[0].State(), all[1].State()
		return a.MetaLeader != "" && a.MetaLeader == b.MetaLeader && len(a.PeersUp) == 1 && len(b.PeersUp) == 1
	})
}

func checkTLSClients(t *testing.T, r *running, ours *authority) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(ours.cert)
	nc, err := connect(r.ClientURL(), bus.RoleCLI, "x", nats.Secure(&tls.Config{RootCAs: pool}))
	if err != nil {
		t.Errorf("a client with the CA: %v", err)
	} else {
		nc.Close()
	}
	if nc, err = connect(r.ClientURL(), bus.RoleCLI, "x"); err == nil {
		nc.Close()
		t.Error("a client without the CA took the server for real")
	}
	inside, err := connect("", bus.RoleNode, "x", nats.InProcessServer(r))
	if err != nil {
		t.Errorf("in the process: %v", err)
	} else {
		inside.Close()
	}
	plain, err := net.Dial("tcp", r.running.Load().nats.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	user, password := r.Login(bus.RoleNode, "x")
	if _, err := plain.Write([]byte(`CONNECT {"user":"` + user + `","pass":"` + password + `"}` + "\r\nPING\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = plain.SetReadDeadline(time.Now().Add(5 * time.Second))
	for buf := make([]byte, 4096); ; {
		n, err := plain.Read(buf)
		if err != nil {
			return
		}
		if string(buf[:min(n, 4)]) == "PONG" {
			t.Fatal("a client in the clear was let in")
		}
	}
}

// A renewed certificate is used by the next connection, without a restart; a
// damaged one is not.
func TestCertificateIsRenewed(t *testing.T) {
	a := newAuthority(t)
	files := a.server(t, "a")
	certs, err := files.load()
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		pair, err := certs.clients.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.String()
	}
	first := serial()
	a.server(t, "a")
	if got := serial(); got == first {
		t.Error("the renewed certificate is not used")
	}
	if err := os.Truncate(files.Cert, 10); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != first {
		t.Errorf("with a damaged file certificate %s is used, want the one of the start, %s", got, first)
	}
}
