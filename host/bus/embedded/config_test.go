package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// G14: a bad configuration is refused with the name of the setting.
func TestNewRefuses(t *testing.T) {
	pair := func(c *Config) {
		c.Cluster = &Cluster{Listen: "127.0.0.1:7001", Peers: []Peer{{Name: "b", Routes: "127.0.0.1:7101"}, {Name: "c", Routes: "127.0.0.1:7201"}}}
	}
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*Config)
		says   string
	}{
		{"no name", func(c *Config) { c.Name = "" }, "server name is empty"},
		{"a name with a dot", func(c *Config) { c.Name = "a.b" }, "server name"},
		{"no platform", func(c *Config) { c.Platform = "" }, "platform name is empty"},
		{"no dir", func(c *Config) { c.Dir = "" }, "Dir is empty"},
		{"no secret", func(c *Config) { c.Secret = "" }, "Secret is empty"},
		{"raft", func(c *Config) { c.Raft = "fast" }, `Raft is "fast": use "lan" or "wan"`},
		{"max store", func(c *Config) { c.MaxStore = -1 }, "MaxStore is -1"},
		{"listen without a port", func(c *Config) { c.Listen = "127.0.0.1" }, `Listen is "127.0.0.1": give host:port`},
		{"listen with a large port", func(c *Config) { c.Listen = "127.0.0.1:65536" }, "Listen is"},
		{"listen with a named port", func(c *Config) { c.Listen = "127.0.0.1:http" }, "Listen is"},
		{"open listen", func(c *Config) { c.Listen = "192.0.2.1:4222" }, "Listen is 192.0.2.1:4222, beyond loopback, and TLS is not set"},
		{"listen everywhere", func(c *Config) { c.Listen = ":4222" }, "Listen is :4222, beyond loopback, and TLS"},
		{"listen on ::", func(c *Config) { c.Listen = "[::]:4222" }, "beyond loopback, and TLS"},
		{"listen on a name", func(c *Config) { c.Listen = "host1:4222" }, "beyond loopback, and TLS"},
		{"open routes", func(c *Config) { pair(c); c.Cluster.Listen = "0.0.0.0:7001" }, "Cluster.Listen is 0.0.0.0:7001, beyond loopback, and TLS"},
		{"open mesh", func(c *Config) { pair(c); c.Cluster.Mesh = "0.0.0.0:7002" }, "Cluster.Mesh is 0.0.0.0:7002, beyond loopback, and TLS"},
		{"a peer elsewhere", func(c *Config) { pair(c); c.Cluster.Peers[0].Routes = "192.0.2.1:1" }, "Cluster.Peers[b].Routes is 192.0.2.1:1, beyond loopback, and TLS"},
		{"a short secret", func(c *Config) { c.Listen, c.Secret = "192.0.2.1:4222", "123456789012345" }, "Secret has 15 bytes"},
		{"half of TLS", func(c *Config) { c.TLS.CA = junk }, "TLS.Cert is empty"},
		{"TLS files that are not there", func(c *Config) { c.TLS = TLS{"nowhere", "nowhere", "nowhere"} }, "TLS.CA: open nowhere"},
		{"a CA that is none", func(c *Config) { c.TLS = TLS{junk, junk, junk} }, "holds no certificate"},
		{"no peers", func(c *Config) { c.Cluster = &Cluster{Listen: "127.0.0.1:7001"} }, "Cluster.Peers is empty"},
		{"too many peers", func(c *Config) { pair(c); c.Cluster.Peers = make([]Peer, 5) }, "at most 5 voters"},
		{"no route address", func(c *Config) { pair(c); c.Cluster.Listen = "" }, "Cluster.Listen is empty"},
		{"any route port", func(c *Config) { pair(c); c.Cluster.Listen = "127.0.0.1:0" }, "the port must be given"},
		{"the mesh port does not fit", func(c *Config) { pair(c); c.Cluster.Listen = "127.0.0.1:65535" }, "Cluster.Mesh is"},
		{"itself as a peer", func(c *Config) { pair(c); c.Cluster.Peers[0].Name = "a" }, "Cluster.Peers[a]: the name is taken"},
		{"a peer twice", func(c *Config) { pair(c); c.Cluster.Peers[0].Name = "c" }, "Cluster.Peers[c]: the name is taken"},
		{"a bad name of a peer", func(c *Config) { pair(c); c.Cluster.Peers[0].Name = "b b" }, "peer name"},
		{"an address twice", func(c *Config) { pair(c); c.Cluster.Peers[1].Routes = "127.0.0.1:7101" }, "and so is Cluster.Peers[b].Routes"},
		{"mesh and routes in one place", func(c *Config) { pair(c); c.Cluster.Mesh = c.Cluster.Listen }, "and so is Cluster.Listen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{Name: "a", Platform: platform, Dir: "dir", Secret: testSecret}
			c.change(&cfg)
			_, err := New(cfg)
			if err == nil || !errors.Is(err, pluginapi.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error is %v, want one that says %q", err, c.says)
			}
		})
	}
}

func TestNewReportsAllFaults(t *testing.T) {
	_, err := New(Config{Raft: "fast", Listen: "192.0.2.1:4222", MaxStore: -1})
	for _, part := range []string{"server name", "platform name", "Dir", "Secret is empty", "Secret has 0 bytes", "TLS is not set", "Raft", "MaxStore"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not speak of %s: %v", part, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	peers := []Peer{{Name: "b", Routes: "127.0.0.1:7101"}, {Name: "c", Routes: "127.0.0.1:7201", Mesh: "127.0.0.1:9000"}}
	s, err := New(Config{Name: "a", Platform: platform, Dir: "dir", Secret: "x", Cluster: &Cluster{Listen: "localhost:7001", Peers: peers}})
	if err != nil {
		t.Fatal(err)
	}
	c := s.cfg
	if c.Listen != "127.0.0.1:0" || c.Raft != LAN || c.Cluster.Mesh != "localhost:7002" || c.Cluster.Peers[0].Mesh != "127.0.0.1:7102" || c.Cluster.Peers[1].Mesh != "127.0.0.1:9000" {
		t.Errorf("the defaults are %+v %+v", c, c.Cluster)
	}
	if peers[0].Mesh != "" {
		t.Error("New changed the caller's peers")
	}
	if st := s.State(); st.Voters != 3 || st.Running {
		t.Errorf("before Run the state is %+v", st)
	}
}
