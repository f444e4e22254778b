package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	defaultPingInterval = time.Second
	reconnectWait       = 50 * time.Millisecond  // between two rounds over all servers, plus jitter
	writeTimeout        = 3 * time.Second        // a write that takes longer ends the connection
	roundWait           = 100 * time.Millisecond // between two rounds of Dial, plus jitter
)

// Dial connects to one of the servers and keeps the connection: when it breaks
// it is made again, to any of the servers, until Close. Requests that are made
// while there is no connection are refused at once; nothing is kept to be sent
// later.
//
// Servers that do not answer yet are tried again until ConnectTimeout or ctx
// ends. A server that answers but refuses ends Dial at once if all do.
//
// # Errors
//
// [pluginapi.ErrInvalid] for a mistake in the config. Otherwise the error says
// of each server what went wrong and how to mend it; it is ErrRefused when all
// servers have refused for good, so that trying again cannot help.
func Dial(ctx context.Context, cfg Config) (*Conn, error) {
	cfg = cfg.withDefaults()
	servers, err := cfg.servers()
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	auth, err := cfg.Auth.options(cfg.InProcess != nil)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	c := newConn(cfg)
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, c.net.end)
	nc, err := dialRounds(ctx, cfg, servers, append(c.options(), auth...))
	if err != nil {
		c.net.end()
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	if !stop() { // time ran out in the same moment, and the socket is being closed
		nc.Close()
		return nil, fmt.Errorf("connect to NATS: %w", context.Cause(ctx))
	}
	if len(servers) > 1 {
		if err := nc.SetServerPool(servers); err != nil {
			nc.Close()
			return nil, fmt.Errorf("connect to NATS: %w", err)
		}
	}
	c.nc = nc
	if c.js, err = jetstream.New(nc); err != nil {
		nc.Close()
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return c, nil
}

// dialRounds tries all servers, round after round, until one takes us, all
// refuse for good, or ctx ends.
func dialRounds(ctx context.Context, cfg Config, servers []string, opts []nats.Option) (*nats.Conn, error) {
	problems := make([]error, len(servers))
	for {
		hopeless := true
		for i, url := range servers {
			nc, err := nats.Connect(url, opts...)
			if err == nil {
				return nc, nil
			}
			why, final := explain(err, url, cfg)
			if problems[i] == nil || ctx.Err() == nil { // an attempt that we broke off says less than the one before
				problems[i] = why
			}
			hopeless = hopeless && final
			if ctx.Err() != nil {
				break
			}
		}
		if hopeless {
			return nil, turnedAway{errors.Join(problems...)}
		}
		if !pause(ctx, roundWait, roundWait) {
			return nil, errors.Join(problems...)
		}
	}
}

// turnedAway is an ErrRefused that says only why.
type turnedAway struct{ error }

func (t turnedAway) Unwrap() error { return t.error }

// Is makes it an ErrRefused.
func (t turnedAway) Is(target error) bool { return target == ErrRefused }

// pause waits for d plus a random part of jitter. It is false when ctx ended.
func pause(ctx context.Context, d, jitter time.Duration) bool {
	if jitter > 0 {
		d += rand.N(jitter)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// attemptTimeout bounds one attempt to connect to one server.
func attemptTimeout(cfg Config) time.Duration {
	return min(max(cfg.ConnectTimeout/4, time.Second), 5*time.Second, cfg.ConnectTimeout)
}

// explain turns what nats.go says into what is wrong and how to mend it. final
// means that trying again cannot help.
func explain(err error, url string, cfg Config) (why error, final bool) {
	at := "NATS server at " + redact(url)
	if cfg.InProcess != nil {
		at = "embedded NATS server"
	}
	text := strings.ToLower(err.Error())
	var dns *net.DNSError
	var timeout net.Error
	say := func(format string, args ...any) error {
		return fmt.Errorf("%s: "+format+" (%w)", append(append([]any{at}, args...), err)...)
	}
	switch {
	case strings.Contains(text, "authorization violation"), strings.Contains(text, "authentication"):
		return say("it refuses a connection with %s: correct the credentials or allow them on the server", cfg.credentials(url)), true
	case errors.Is(err, nats.ErrNkeysNotSupported):
		return say("it does not know nkeys or JWTs, but %s is given: use the kind of credentials that the server is set up for", cfg.Auth), true
	case errors.Is(err, nats.ErrSecureConnWanted):
		return say("it does not speak TLS: drop the tls settings and tls://, or turn TLS on there"), true
	case errors.Is(err, nats.ErrTLS), strings.Contains(text, "x509:"), strings.Contains(text, "tls:"):
		return say("the TLS handshake failed: the CA must be the one that signed the server's certificate, the certificate must hold the host name of the URL, and a server that verifies clients needs cert and key"), true
	case errors.As(err, &dns):
		return say("the host name is not known: correct it"), false
	case errors.Is(err, nats.ErrNoServers), strings.Contains(text, "connection refused"):
		return say("nobody listens there: start the server or correct the address"), false
	case errors.Is(err, nats.ErrNoInfoReceived), strings.Contains(text, "parser error"), strings.Contains(text, "invalid character"):
		return say("what listens there is not a NATS server: correct the address"), true
	case errors.Is(err, nats.ErrTimeout), errors.As(err, &timeout) && timeout.Timeout(),
		errors.Is(err, net.ErrClosed), errors.Is(err, context.Canceled): // closed by us, when Dial's time was up
		return say("no answer within %v: it is overloaded or not a NATS server, or a firewall drops the packets", attemptTimeout(cfg)), false
	}
	return say("the connection failed"), false
}

// credentials says which credentials a server was given.
func (cfg Config) credentials(url string) string {
	if cfg.InProcess == nil && strings.Contains(url, "@") {
		return "the user or token in its URL"
	}
	return cfg.Auth.String()
}

// network makes the sockets of one connection, and closes the newest one when
// it is ended: nats.go itself knows no context.
type network struct {
	timeout time.Duration
	ctx     context.Context
	end     context.CancelFunc
}

// Dial implements nats.CustomDialer.
func (n *network) Dial(proto, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(n.ctx, n.timeout)
	defer cancel()
	sock, err := new(net.Dialer).DialContext(ctx, proto, address)
	if err != nil {
		return nil, err
	}
	return newSocket(n.ctx, sock), nil
}
