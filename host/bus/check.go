package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Support is what the NATS servers offer to us.
type Support struct {
	Server   string   // name of the server connected to
	Version  string   // its version
	Cluster  string   // name of its cluster; "" for a single server
	Servers  int      // how many servers there are at least: those that clients are told of, and those that hold replicas
	Replicas int      // how many replicas a stream can have, up to the number asked for
	Weaker   []string // what is weaker than with embedded servers, one sentence each
}

// checkGrace is how long Check asks a JetStream that does not answer: it may be
// starting, or a slow disk may hold up what was asked before. checkTry is how
// long it waits for one answer before it asks again.
const (
	checkGrace = 15 * time.Second
	checkTry   = 2 * time.Second
)

// Check finds out whether JetStream is there and how many replicas a stream can
// have, up to replicas (0 means 3). It creates an empty stream in memory,
// gc_probe_<n>, and deletes it: nothing else tells what is possible and allowed.
//
// # Errors
//
// ErrRefused when JetStream or a permission is missing; the error says which
// and how to mend it. Otherwise as of [Conn.Request].
func (c *Conn) Check(ctx context.Context, replicas int) (Support, error) {
	if replicas == 0 {
		replicas = 3
	}
	if replicas < 1 || replicas > 5 {
		return Support{}, fmt.Errorf("check NATS: %w: %d replicas: ask for 1 to 5", pluginapi.ErrInvalid, replicas)
	}
	if err := c.reachJetStream(ctx); err != nil {
		return Support{}, fmt.Errorf("check NATS: %w", missing(err))
	}
	s := Support{
		Server: c.nc.ConnectedServerName(), Version: c.nc.ConnectedServerVersion(),
		Cluster: c.nc.ConnectedClusterName(), Servers: max(1, len(c.nc.DiscoveredServers())),
	}
	for n := replicas; n > 0; n-- {
		err := c.probe(ctx, n)
		if err == nil {
			s.Replicas = n
			break
		}
		if n == 1 || !isAPI(err, codeNoPeers, codeNotClustered) {
			return Support{}, fmt.Errorf("check NATS: create a stream with %d replicas: %w", n, missing(err))
		}
	}
	s.Servers = max(s.Servers, s.Replicas)
	s.Weaker = c.weaker(s, replicas)
	return s, nil
}

// reachJetStream asks JetStream for its account until it answers, or it is
// clear that it will not.
func (c *Conn) reachJetStream(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkGrace)
	defer cancel()
	for {
		err := c.askAccount(ctx)
		if err == nil || hopeless(err) || isAPI(err, codeNotForAccount, codeNotEnabled) {
			return err
		}
		if !pause(ctx, openWait, openWait) {
			return err
		}
	}
}

// askAccount asks once.
func (c *Conn) askAccount(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTry)
	defer cancel()
	return c.api(ctx, "INFO", nil, nil)
}

// probe creates and deletes a stream. Several may do it at once.
func (c *Conn) probe(ctx context.Context, replicas int) error {
	name := fmt.Sprintf("gc_probe_%d", replicas)
	err := c.api(ctx, "STREAM.CREATE."+name, jetstream.StreamConfig{
		Name: name, Subjects: []string{fmt.Sprintf("gc.probe.%d", replicas)},
		Storage: jetstream.MemoryStorage, Replicas: replicas, MaxMsgs: 1,
	}, nil)
	if err != nil {
		return err
	}
	if err := c.api(ctx, "STREAM.DELETE."+name, nil, nil); err != nil && !isAPI(err, codeNoStream) {
		return errors.Join(errors.New("the probe cannot be deleted"), err)
	}
	return nil
}

func (c *Conn) weaker(s Support, asked int) []string {
	var out []string
	if s.Replicas < asked {
		out = append(out, fmt.Sprintf("streams can have %d of %d replicas: with fewer than 3 the loss of one server stops all changes", s.Replicas, asked))
	}
	if c.cfg.InProcess != nil {
		return out
	}
	return append(out,
		"how often the servers sync to disk cannot be seen from here: unless sync_interval is \"always\", a power cut may lose the last two minutes of acknowledged changes",
		"the servers' election timers are theirs: after the loss of a server, changes may stop for 4 to 8 s")
}
