package embedded

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/ozanturksever/go-cluster/host/bus"
)

// Join says how a host without a server of its own is a client of the voters:
// the host that a cluster has beyond its 3 or 5 servers.
type Join struct {
	Servers []string // client host:port of the voters, all of them
	Secret  string   // the cluster secret; at least 16 bytes beyond loopback
	// TLS needs the CA alone, beyond loopback: a client logs in by what is
	// derived from the secret. Cert and Key, both or none, are shown to servers
	// that ask for them.
	TLS TLS
}

// Check reports every fault at once; it reads the TLS files.
//
// # Errors
//
// As of [New].
func (j Join) Check() error {
	var errs []error
	if len(j.Servers) == 0 {
		errs = append(errs, invalidJoin("Servers is empty: give the client host:port of each voter"))
	}
	if j.Secret == "" {
		errs = append(errs, invalidJoin("Secret is empty: give the one of the voters"))
	}
	where := map[string]int{}
	for i, addr := range j.Servers {
		errs = append(errs, j.checkServer(i))
		if first, twice := where[addr]; twice {
			errs = append(errs, invalidJoin("Servers[%d] is %s, and so is Servers[%d]: give each voter once", i, addr, first))
			continue
		}
		where[addr] = i
	}
	return errors.Join(append(errs, j.checkTLS())...)
}

func (j Join) checkServer(i int) error {
	name, addr := fmt.Sprintf("Servers[%d]", i), j.Servers[i]
	if err := checkAddress(name, addr, false); err != nil {
		return err
	}
	if host, _ := hostPort(addr); host == "" {
		return invalidJoin("%s is %q and has no host: give the one that this host reaches", name, addr)
	}
	if isLoopback(addr) {
		return nil
	}
	var errs []error
	if j.TLS.CA == "" {
		errs = append(errs, invalidJoin("%s is %s, beyond loopback, and TLS is not set: give TLS.CA", name, addr))
	}
	if n := len(j.Secret); n > 0 && n < minSecret {
		errs = append(errs, invalidJoin("%s is %s, beyond loopback, and Secret has %d bytes: it needs at least %d", name, addr, n, minSecret))
	}
	return errors.Join(errs...)
}

func (j Join) checkTLS() error {
	var errs []error
	if j.TLS.CA != "" {
		_, err := readPool(j.TLS.CA)
		errs = append(errs, err)
	} else if j.TLS.set() {
		errs = append(errs, invalidJoin("TLS.CA is empty: without it the certificate of a voter means nothing"))
	}
	if (j.TLS.Cert == "") != (j.TLS.Key == "") {
		errs = append(errs, invalidJoin("TLS.Cert and TLS.Key belong together: give both or none"))
	} else if j.TLS.Cert != "" {
		if _, err := tls.LoadX509KeyPair(j.TLS.Cert, j.TLS.Key); err != nil {
			errs = append(errs, invalidJoin("TLS.Cert, TLS.Key: %w", err))
		}
	}
	return errors.Join(errs...)
}

// URLs are the addresses of the servers as a client wants them.
func (j Join) URLs() []string {
	scheme := "nats://"
	if j.TLS.CA != "" {
		scheme = "tls://"
	}
	var urls []string
	for _, s := range j.Servers {
		urls = append(urls, scheme+s)
	}
	return urls
}

// Auth is the login of a role, with the files for TLS.
func (j Join) Auth(role bus.Role, id string) bus.Auth {
	user, password := bus.Login(j.Secret, role, id)
	return bus.Auth{User: user, Password: password, TLS: bus.TLS(j.TLS)}
}

func invalidJoin(format string, args ...any) error {
	return invalid("join: "+format, args...)
}
