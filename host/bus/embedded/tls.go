package embedded

import (
	"crypto/tls"
	"crypto/x509"
	"os"
)

// tlsConfigs are the configurations made of one set of files. All are nil when
// TLS is not set.
type tlsConfigs struct {
	clients *tls.Config // the server side of clients: they log in with a password
	peers   *tls.Config // both sides of routes and of the peer mesh: both show a certificate
}

func (t TLS) load() (tlsConfigs, error) {
	if !t.set() {
		return tlsConfigs{}, nil
	}
	for _, f := range []struct{ setting, file string }{{"TLS.CA", t.CA}, {"TLS.Cert", t.Cert}, {"TLS.Key", t.Key}} {
		if f.file == "" {
			return tlsConfigs{}, invalid("%s is empty: give all three of TLS.CA, TLS.Cert and TLS.Key, or none", f.setting)
		}
	}
	pool, err := readPool(t.CA)
	if err != nil {
		return tlsConfigs{}, err
	}
	first, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return tlsConfigs{}, invalid("TLS.Cert, TLS.Key: %w", err)
	}
	// A renewed pair is taken up by the next connection. While the two files
	// do not fit, as in the middle of a renewal, the pair of the start serves.
	current := func() *tls.Certificate {
		if pair, err := tls.LoadX509KeyPair(t.Cert, t.Key); err == nil {
			return &pair
		}
		return &first
	}
	clients := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current(), nil },
	}
	peers := clients.Clone()
	peers.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return current(), nil }
	peers.RootCAs, peers.ClientCAs = pool, pool
	peers.ClientAuth = tls.RequireAndVerifyClientCert
	return tlsConfigs{clients, peers}, nil
}

// readPool reads the certificates of the cluster's CA.
func readPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, invalid("TLS.CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, invalid("TLS.CA: %s holds no certificate in PEM form", file)
	}
	return pool, nil
}
