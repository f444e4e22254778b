package bus

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

type dialMistake struct {
	cfg  Config
	want []any
}

func at(urls ...string) Config { return Config{URLs: urls, ConnectTimeout: 300 * time.Millisecond} }

func (cfg Config) as(a Auth) Config { cfg.Auth = a; return cfg }

func TestDialSaysWhatIsWrongWithTheAddress(t *testing.T) {
	nobody := "nats://127.0.0.1:" + freePort(t)
	mute := listen(t, nil)
	greets := listen(t, []byte(`INFO {"server_id":"s","version":"2.15.2","max_payload":1048576}`+"\r\n"))
	web := listen(t, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	dialMistakes(t, map[string]dialMistake{
		"no url":       {at(), []any{pluginapi.ErrInvalid, "no NATS URL"}},
		"bad scheme":   {at("http://host:4222"), []any{pluginapi.ErrInvalid, "unknown scheme", "nats://host:port"}},
		"no host":      {at("nats://:4222"), []any{pluginapi.ErrInvalid, "no host"}},
		"two in one":   {at("nats://a:1,nats://b:2"), []any{pluginapi.ErrInvalid, "comma"}},
		"path":         {at("nats://a:1/x"), []any{pluginapi.ErrInvalid, "more than host and port"}},
		"bad port":     {at("nats://u:secret@a:port"), []any{pluginapi.ErrInvalid, "not a URL"}},
		"nobody":       {at(nobody), []any{"nobody listens there", nobody}},
		"two of them":  {at(nobody, mute), []any{nobody, mute, "no answer within"}},
		"unknown host": {at("nats://no-such-host.invalid:4222"), []any{"host name is not known"}},
		"mute":         {at(mute), []any{"no answer within"}},
		"too slow":     {at(greets), []any{greets, "no answer within"}},
		"not nats":     {at(web), []any{"not a NATS server"}},
	})
}

func TestDialSaysWhatIsWrongWithTheCredentials(t *testing.T) {
	open := startServer(t).ClientURL()
	closed := startServer(t, func(o *server.Options) { o.Username, o.Password = "u", "right" }).ClientURL()
	nobody := "nats://127.0.0.1:" + freePort(t)
	bad := writeFile(t, "secret nonsense")
	dialMistakes(t, map[string]dialMistake{
		"no password":        {at(closed), []any{"refuses a connection with no credentials"}},
		"wrong password":     {at(closed).as(Auth{User: "u", Password: "secret"}), []any{`with user "u" and its password`}},
		"wrong in url":       {at(strings.Replace(closed, "//", "//u:secret@", 1)), []any{"with the user or token in its URL"}},
		"wrong token":        {at(closed).as(Auth{Token: "secret"}), []any{"with the token"}},
		"refused, not there": {at(closed, nobody).as(Auth{User: "u", Password: "secret"}), []any{"refuses", "nobody listens"}},
		"two kinds":          {at(open).as(Auth{User: "u", Token: "secret"}), []any{pluginapi.ErrInvalid, "choose one"}},
		"password only":      {at(open).as(Auth{Password: "secret"}), []any{pluginapi.ErrInvalid, "without a user"}},
		"creds missing":      {at(open).as(Auth{CredsFile: "/no/such.creds"}), []any{os.ErrNotExist, "/no/such.creds"}},
		"creds bad":          {at(open).as(Auth{CredsFile: bad}), []any{pluginapi.ErrInvalid, "holds no user JWT", bad}},
		"nkey missing":       {at(open).as(Auth{NKeyFile: "/no/such.nk"}), []any{os.ErrNotExist, "/no/such.nk"}},
		"nkey bad":           {at(open).as(Auth{NKeyFile: bad}), []any{pluginapi.ErrInvalid, "holds no seed", bad}},
		"nkey not wanted":    {at(open).as(Auth{NKeyFile: nkeyFile(t)}), []any{"does not know nkeys"}},
	})
}

func TestDialSaysWhatIsWrongWithTLS(t *testing.T) {
	open := startServer(t).ClientURL()
	certs := makeCerts(t)
	secure := startServer(t, func(o *server.Options) { o.TLSConfig, o.TLS = certs.server(t), true }).ClientURL()
	bad := writeFile(t, "x")
	dialMistakes(t, map[string]dialMistake{
		"ca missing":       {at(secure).as(Auth{TLS: TLS{CA: "/no/ca.pem"}}), []any{os.ErrNotExist, "/no/ca.pem"}},
		"ca bad":           {at(secure).as(Auth{TLS: TLS{CA: bad}}), []any{pluginapi.ErrInvalid, "no certificate in PEM", bad}},
		"cert without key": {at(secure).as(Auth{TLS: TLS{Cert: "a"}}), []any{pluginapi.ErrInvalid, "both or none"}},
		"cert missing":     {at(secure).as(Auth{TLS: TLS{Cert: "/no/a", Key: "/no/b"}}), []any{os.ErrNotExist, "/no/a"}},
		"unknown ca":       {at(secure), []any{"TLS handshake failed", "CA"}},
		"no tls there":     {at(open).as(Auth{TLS: TLS{CA: certs.ca}}), []any{"does not speak TLS"}},
		"no client cert":   {at(secure).as(Auth{TLS: TLS{CA: certs.ca}}), []any{"TLS handshake failed", "cert and key"}},
	})
	nobody := "nats://127.0.0.1:" + freePort(t)
	c := dial(t, Config{URLs: []string{nobody, secure}, Auth: Auth{TLS: TLS{CA: certs.ca, Cert: certs.client, Key: certs.clientKey}}})
	if !c.Connected() {
		t.Error("not connected to the second server")
	}
}

func dialMistakes(t *testing.T, mistakes map[string]dialMistake) {
	for name, tt := range mistakes {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			c, err := Dial(t.Context(), tt.cfg)
			if err == nil {
				closeConn(t, c)
				t.Fatal("connected")
			}
			t.Log(err)
			expect(t, err, tt.want...)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells a secret: %v", err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDialHeedsItsContext(t *testing.T) {
	mute := listen(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(20*time.Millisecond, cancel)
	defer timer.Stop()
	start := time.Now()
	_, err := Dial(ctx, Config{URLs: []string{mute}, ConnectTimeout: time.Minute})
	if err == nil || time.Since(start) > 3*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestDialWaitsForAServerThatStarts(t *testing.T) {
	port := freePorts(t, 1)[0]
	started := make(chan *server.Server, 1)
	opts := serverOptions(t)
	opts.Port, opts.JetStream = port, false
	time.AfterFunc(300*time.Millisecond, func() {
		s, err := server.NewServer(opts)
		if err == nil {
			s.Start()
		}
		started <- s
	})
	c, err := Dial(t.Context(), Config{URLs: []string{"127.0.0.1:" + itoa(port)}, ConnectTimeout: patience})
	s := <-started
	defer s.Shutdown()
	if err != nil {
		t.Fatal(err)
	}
	closeConn(t, c)
}

func TestDialWithKeysAndCredentials(t *testing.T) {
	seedFile := nkeyFile(t)
	text, err := os.ReadFile(seedFile)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := nkeys.FromSeed(text)
	if err != nil {
		t.Fatal(err)
	}
	public, _ := pair.PublicKey()
	s := startServer(t, func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: public}} })
	dial(t, Config{URLs: []string{s.ClientURL()}, Auth: Auth{NKeyFile: seedFile}})

	operator, account := must(nkeys.CreateOperator()), must(nkeys.CreateAccount())
	accountKey := must(account.PublicKey())
	accountJWT := must(jwt.NewAccountClaims(accountKey).Encode(operator))
	userJWT := must(jwt.NewUserClaims(public).Encode(account))
	creds := filepath.Join(t.TempDir(), "user.creds")
	if err := os.WriteFile(creds, must(jwt.FormatUserConfig(userJWT, text)), 0o600); err != nil {
		t.Fatal(err)
	}
	resolver := &server.MemAccResolver{}
	if err := resolver.Store(accountKey, accountJWT); err != nil {
		t.Fatal(err)
	}
	s = startServer(t, func(o *server.Options) {
		o.JetStream = false
		o.TrustedKeys = []string{must(operator.PublicKey())}
		o.AccountResolver = resolver
	})
	dial(t, Config{URLs: []string{s.ClientURL()}, Auth: Auth{CredsFile: creds}})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func nkeyFile(t *testing.T) string {
	t.Helper()
	pair := must(nkeys.CreateUser())
	path := filepath.Join(t.TempDir(), "user.nk")
	if err := os.WriteFile(path, must(pair.Seed()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func itoa(n int) string { return big.NewInt(int64(n)).String() }

func freePort(t *testing.T) string { return itoa(freePorts(t, 1)[0]) }

// listen accepts connections, says text if any, and nothing more.
func listen(t *testing.T, text []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, c)
			if text != nil {
				_, _ = c.Write(text)
			}
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, c := range conns {
			c.Close()
		}
	})
	return "nats://" + l.Addr().String()
}

// certs are a CA and what it has signed.
type certs struct {
	ca, client, clientKey string
	serverPair            tls.Certificate
	pool                  *x509.CertPool
}

func (c *certs) server(t *testing.T) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.serverPair}, ClientCAs: c.pool, ClientAuth: tls.RequireAndVerifyClientCert}
}

func makeCerts(t *testing.T) *certs {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caKey := key()
	caDER := must(x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey))
	leaf := func(name string) (der []byte, k *ecdsa.PrivateKey) {
		k = key()
		return must(x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}, ca, k.Public(), caKey)), k
	}
	out := &certs{ca: write("ca.pem", "CERTIFICATE", caDER), pool: x509.NewCertPool()}
	out.pool.AddCert(must(x509.ParseCertificate(caDER)))
	der, k := leaf("server")
	out.serverPair = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
	der, k = leaf("client")
	out.client = write("client.pem", "CERTIFICATE", der)
	out.clientKey = write("client.key", "EC PRIVATE KEY", must(x509.MarshalECPrivateKey(k)))
	return out
}
