package bus

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// DefaultConnectTimeout bounds Dial when Config.ConnectTimeout is 0.
const DefaultConnectTimeout = 5 * time.Second

// TLS names the files for an encrypted connection, all in PEM. Without any of
// them TLS is used when the server or the URL asks for it, with the system's
// roots.
type TLS struct {
	CA   string // certificates that sign the server's certificate; "" means the system's roots
	Cert string // own certificate, shown to the server; needs Key
	Key  string // private key of Cert
}

// Auth says who connects. At most one kind is given: CredsFile, NKeyFile, User
// with Password, or Token.
type Auth struct {
	CredsFile string // a .creds file: user JWT and nkey seed
	NKeyFile  string // a file with the seed of a user nkey
	User      string
	Password  string
	Token     string
	TLS       TLS
}

// Config says where and as whom to connect.
type Config struct {
	URLs           []string                   // tried in turn; ignored when InProcess is set
	InProcess      nats.InProcessConnProvider // embedded server of this process: first and only choice
	Name           string                     // connection name shown by the server
	Auth           Auth
	InboxPrefix    string        // where answers are received, without the last dot; "": anywhere. See InboxPrefix
	ConnectTimeout time.Duration // 0: 5 s; bounds Dial as a whole
	PingInterval   time.Duration // 0: 1 s; a server that leaves two pings unanswered is given up at the third
	Logger         *slog.Logger  // nil: no log
}

// withDefaults returns the config with what was left out filled in.
func (cfg Config) withDefaults() Config {
	if cfg.ConnectTimeout <= 0 {
		cfg.ConnectTimeout = DefaultConnectTimeout
	}
	if cfg.PingInterval <= 0 {
		cfg.PingInterval = defaultPingInterval
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

// servers checks the URLs and returns them in the form that nats.go takes.
func (cfg Config) servers() ([]string, error) {
	if cfg.InProcess != nil {
		return []string{nats.DefaultURL}, nil // a name only: the connection is a pipe
	}
	if len(cfg.URLs) == 0 {
		return nil, fmt.Errorf("%w: no NATS URL: give at least one, like nats://host:4222", pluginapi.ErrInvalid)
	}
	var out []string
	for _, s := range cfg.URLs {
		u, err := checkURL(s)
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, nil
}

func checkURL(s string) (string, error) {
	bad := func(why string) error {
		return fmt.Errorf("%w: NATS URL %q: %s: write nats://host:port or tls://host:port", pluginapi.ErrInvalid, redact(s), why)
	}
	if strings.ContainsAny(s, ", \t\r\n") {
		return "", bad("holds a blank or a comma")
	}
	full := s
	if !strings.Contains(s, "://") {
		full = "nats://" + s
	}
	u, err := url.Parse(full)
	if err != nil {
		return "", bad("not a URL")
	}
	if !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
		return "", bad(fmt.Sprintf("unknown scheme %q", u.Scheme))
	}
	if u.Hostname() == "" {
		return "", bad("no host")
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return "", bad("has more than host and port")
	}
	return full, nil
}

// redact hides the user, password or token of a URL, also of one that cannot
// be parsed.
func redact(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s
	}
	scheme, _, ok := strings.Cut(s[:at], "://")
	if !ok {
		return "..." + s[at:]
	}
	return scheme + "://..." + s[at:]
}

// options reads the files of the credentials and returns the options for
// nats.go that carry them. Inside of a process there is no TLS.
func (a Auth) options(inProcess bool) ([]nats.Option, error) {
	var kinds []string
	add := func(set bool, kind string) {
		if set {
			kinds = append(kinds, kind)
		}
	}
	add(a.CredsFile != "", "a credentials file")
	add(a.NKeyFile != "", "an nkey file")
	add(a.User != "" || a.Password != "", "user and password")
	add(a.Token != "", "a token")
	if len(kinds) > 1 {
		return nil, fmt.Errorf("%w: %s are given: choose one kind of credentials", pluginapi.ErrInvalid, strings.Join(kinds, " and "))
	}
	var opts []nats.Option
	if !inProcess {
		var err error
		if opts, err = a.TLS.options(); err != nil {
			return nil, err
		}
	}
	switch {
	case a.CredsFile != "":
		if err := checkCreds(a.CredsFile); err != nil {
			return nil, err
		}
		opts = append(opts, nats.UserCredentials(a.CredsFile))
	case a.NKeyFile != "":
		opt, err := nkeyOption(a.NKeyFile)
		if err != nil {
			return nil, err
		}
		opts = append(opts, opt)
	case a.User != "" || a.Password != "":
		if a.User == "" {
			return nil, fmt.Errorf("%w: a password without a user: give the user too", pluginapi.ErrInvalid)
		}
		opts = append(opts, nats.UserInfo(a.User, a.Password))
	case a.Token != "":
		opts = append(opts, nats.Token(a.Token))
	}
	return opts, nil
}

// String says which credentials are used, without the secrets.
func (a Auth) String() string {
	switch {
	case a.CredsFile != "":
		return fmt.Sprintf("the credentials file %q", a.CredsFile)
	case a.NKeyFile != "":
		return fmt.Sprintf("the nkey of file %q", a.NKeyFile)
	case a.User != "":
		return fmt.Sprintf("user %q and its password", a.User)
	case a.Token != "":
		return "the token"
	}
	return "no credentials"
}

func checkCreds(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read credentials file: %w", err)
	}
	jwt, err := nkeys.ParseDecoratedJWT(text)
	if err != nil || strings.Count(jwt, ".") != 2 {
		return fmt.Errorf("%w: credentials file %q holds no user JWT: make it with nsc generate creds", pluginapi.ErrInvalid, file)
	}
	if _, err := nkeys.ParseDecoratedUserNKey(text); err != nil {
		return fmt.Errorf("%w: credentials file %q holds no user nkey seed (%v): make it with nsc generate creds", pluginapi.ErrInvalid, file, err)
	}
	return nil
}

func nkeyOption(file string) (nats.Option, error) {
	if _, err := os.ReadFile(file); err != nil {
		return nil, fmt.Errorf("read nkey file: %w", err)
	}
	opt, err := nats.NkeyOptionFromSeed(file)
	if err != nil {
		return nil, fmt.Errorf("%w: nkey file %q holds no seed of a user (SU...): %v", pluginapi.ErrInvalid, file, err)
	}
	return opt, nil
}

func (t TLS) options() ([]nats.Option, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("read TLS CA file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%w: TLS CA file %q holds no certificate in PEM", pluginapi.ErrInvalid, t.CA)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, fmt.Errorf("%w: TLS certificate %q and key %q: give both or none", pluginapi.ErrInvalid, t.Cert, t.Key)
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("read TLS certificate %q and key %q: %w", t.Cert, t.Key, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return []nats.Option{nats.Secure(cfg)}, nil
}
