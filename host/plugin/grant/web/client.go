package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/host/plugin/grant"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Options of a client. The zero value is for the public internet.
type Options struct {
	Private     []netip.Prefix // addresses that are reached beside public ones
	MaxResponse int64          // bytes of a body; 1 MiB
	Exchanges   int            // at a time; 32
	Resolver    *net.Resolver  // nil: the system's
	RootCAs     *x509.CertPool // nil: the system's
}

const (
	defaultMaxResponse = 1 << 20
	defaultExchanges   = 32
	maxResponseHeader  = 32 << 10
	connectTime        = 10 * time.Second
)

// Client is a grant.Web. It uses no proxy, keeps no cookies, and follows no
// redirect.
type Client struct {
	http    http.Client
	private []netip.Prefix
	most    int64
	turns   chan struct{}
}

// New returns a client. Close it.
func New(o Options) *Client {
	if o.MaxResponse == 0 {
		o.MaxResponse = defaultMaxResponse
	}
	if o.Exchanges == 0 {
		o.Exchanges = defaultExchanges
	}
	c := &Client{private: o.Private, most: o.MaxResponse, turns: make(chan struct{}, o.Exchanges)}
	named := &net.Dialer{Timeout: connectTime, Resolver: o.Resolver, Control: c.control}
	literal := &net.Dialer{Timeout: connectTime}
	c.http = http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if _, err := netip.ParseAddrPort(addr); err == nil { // Do has checked it
					return literal.DialContext(ctx, network, addr)
				}
				return named.DialContext(ctx, network, addr)
			},
			TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxIdleConns:           o.Exchanges,
			MaxConnsPerHost:        o.Exchanges,
			IdleConnTimeout:        time.Minute,
			TLSHandshakeTimeout:    connectTime,
			MaxResponseHeaderBytes: maxResponseHeader,
		},
	}
	return c
}

// Close closes connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// control sees each address that a name leads to, before it is connected to.
func (c *Client) control(_, address string, _ rawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil || !c.reachable(a.Addr()) {
		return errInside
	}
	return nil
}

const errInside pluginapi.Error = "the name leads to an address that is not public: let the operator allow it"

func (c *Client) reachable(a netip.Addr) bool {
	a = a.Unmap()
	for _, p := range c.private {
		if p.Contains(a) {
			return true
		}
	}
	return public(a)
}

// Do makes one exchange, with the deadline of ctx.
//
// # Errors
//
// [pluginapi.ErrInvalid] for headers that are not a plugin's to set;
// [pluginapi.ErrNotGranted] for an address inside; [pluginapi.ErrBusy];
// [pluginapi.ErrTooLarge] for the answer; [pluginapi.ErrTimeout];
// [pluginapi.ErrUnreachable] for all else.
func (c *Client) Do(ctx context.Context, r grant.WebRequest) (wire.HTTPResponse, error) {
	if a, err := netip.ParseAddr(r.Target.Host); err == nil && !r.Named && !c.reachable(a) {
		return wire.HTTPResponse{}, fmt.Errorf("%w: %s is not public: let the operator grant this very address", pluginapi.ErrNotGranted, a)
	}
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	default:
		return wire.HTTPResponse{}, fmt.Errorf("%w: %d exchanges are on their way", pluginapi.ErrBusy, cap(c.turns))
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.Target.URL(), bytes.NewReader(r.Body))
	if err != nil {
		return wire.HTTPResponse{}, fmt.Errorf("%w: %w", pluginapi.ErrInvalid, err)
	}
	if err := setHeaders(req, r.Headers); err != nil {
		return wire.HTTPResponse{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return wire.HTTPResponse{}, explain(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.most+1))
	if err != nil {
		return wire.HTTPResponse{}, explain(ctx, err)
	}
	if int64(len(body)) > c.most {
		return wire.HTTPResponse{}, fmt.Errorf("%w: the answer has more than %d bytes", pluginapi.ErrTooLarge, c.most)
	}
	return wire.HTTPResponse{Status: int64(resp.StatusCode), Headers: headersOf(resp.Header), Body: body}, nil
}

// explain turns an error of net/http into one that a plugin can act on. It says
// nothing of the network behind the node.
func explain(ctx context.Context, err error) error {
	var timeout net.Error
	var dns *net.DNSError
	switch {
	case errors.Is(err, errInside):
		return fmt.Errorf("%w: %w", pluginapi.ErrNotGranted, errInside)
	case ctx.Err() != nil:
		return fmt.Errorf("%w: the exchange was not done in time", pluginapi.ErrTimeout)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w: the server does not answer", pluginapi.ErrTimeout)
	case errors.As(err, &dns):
		return fmt.Errorf("%w: the host's name is not known", pluginapi.ErrUnreachable)
	}
	var unknown x509.UnknownAuthorityError
	var wrong x509.HostnameError
	if errors.As(err, &unknown) || errors.As(err, &wrong) {
		return fmt.Errorf("%w: the server's certificate is not trusted", pluginapi.ErrUnreachable)
	}
	return fmt.Errorf("%w: the exchange has broken off", pluginapi.ErrUnreachable)
}

// setHeaders sets what a plugin may set: what is about the connection and its
// framing is the host's business.
func setHeaders(req *http.Request, headers []wire.Header) error {
	req.Header.Set("User-Agent", "gchost-plugin")
	for _, h := range headers {
		name := http.CanonicalHeaderKey(h.Name)
		switch {
		case !token(h.Name) || len(h.Name) > 256 || len(h.Value) > 8<<10 || strings.ContainsAny(h.Value, "\r\n\x00"):
			return fmt.Errorf("%w: the header %.40q cannot be sent", pluginapi.ErrInvalid, h.Name)
		case connection(name):
			return fmt.Errorf("%w: the header %s is the host's to set", pluginapi.ErrInvalid, name)
		case name == "User-Agent":
			req.Header.Set(name, h.Value)
		default:
			req.Header.Add(name, h.Value)
		}
	}
	return nil
}

func connection(name string) bool {
	switch name {
	case "Host", "Connection", "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Keep-Alive", "Expect":
		return true
	}
	return strings.HasPrefix(name, "Proxy-") || strings.HasPrefix(name, ":")
}

// token says whether a text is a token of RFC 9110.
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

func headersOf(h http.Header) (out []wire.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			out = append(out, wire.Header{Name: name, Value: strings.ToValidUTF8(v, "\ufffd")})
		}
	}
	return out
}
