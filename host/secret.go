package host

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/bus/embedded"
)

const (
	secretFile = "secret"
	storeDir   = "nats"
	// LoginFile, in the data directory, says how the commands on this machine
	// reach the node. Whoever can read it can give the platform orders.
	LoginFile = "cli.json"
)

// CLILogin is what [LoginFile] holds.
type CLILogin struct {
	Platform    string   `json:"platform"`
	Node        string   `json:"node"`
	URLs        []string `json:"urls"`
	User        string   `json:"user"`
	Password    string   `json:"password"`
	InboxPrefix string   `json:"inbox_prefix"`
	TLS         LoginTLS `json:"tls"`
}

// LoginTLS names files in PEM.
type LoginTLS struct {
	CA   string `json:"ca"`
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

// makeServer makes the embedded server, which starts nothing. A server that
// nobody else joins makes a secret of its own and keeps it.
func (n *Node) makeServer(secret string) error {
	if n.cfg.Embedded == nil {
		return nil
	}
	cfg := *n.cfg.Embedded
	cfg.Name, cfg.Platform, cfg.Logger = n.cfg.Node, n.cfg.Platform, n.log
	if cfg.Dir == "" {
		cfg.Dir = filepath.Join(n.cfg.DataDir, storeDir)
	}
	if cfg.Secret == "" && cfg.Cluster == nil {
		cfg.Secret = secret
	}
	s, err := embedded.New(cfg)
	if err != nil {
		return err
	}
	n.server = s
	return nil
}

// secret returns the secret that this folder made for itself.
func (d *dataDir) secret() (string, error) {
	file := filepath.Join(d.path, secretFile)
	body, err := os.ReadFile(file)
	if err == nil && len(strings.TrimSpace(string(body))) > 0 {
		return strings.TrimSpace(string(body)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read secret: %w", err)
	}
	s := rand.Text()
	if err := os.WriteFile(file, []byte(s+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write secret: %w", err)
	}
	return s, nil
}

// writeLogin stores how the commands on this machine reach the node.
func (n *Node) writeLogin() error {
	if n.cfg.external() || n.data == nil {
		return nil
	}
	urls, auth := n.servers(bus.RoleCLI, n.cfg.Node)
	l := CLILogin{
		Platform: n.cfg.Platform, Node: n.cfg.Node, URLs: urls, User: auth.User, Password: auth.Password,
		InboxPrefix: bus.InboxPrefix(bus.RoleCLI, n.cfg.Node), TLS: LoginTLS(auth.TLS),
	}
	body, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fmt.Errorf("write login: %w", err)
	}
	file := filepath.Join(n.data.path, LoginFile)
	if err := os.WriteFile(file+".new", append(body, '\n'), 0o600); err != nil {
		return fmt.Errorf("write login: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("write login: %w", err)
	}
	return nil
}
