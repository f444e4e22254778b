package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/guard"
)

// watchmanStore says how a watchman reaches the platform after its host's own
// server is dead.
type watchmanStore struct {
	URLs        []string `json:"urls"`
	Auth        bus.Auth `json:"auth"`
	InboxPrefix string   `json:"inbox_prefix,omitempty"`
}

func (n *Node) watchmanStore() watchmanStore {
	if n.cfg.external() {
		return watchmanStore{URLs: n.cfg.NATS.URLs, Auth: n.cfg.NATS.Auth}
	}
	urls, auth := n.servers(bus.RoleGuard, n.cfg.Node)
	if n.server != nil {
		urls = n.cfg.Peers // this node's own server is dead when the guard acts
	}
	return watchmanStore{URLs: urls, Auth: auth, InboxPrefix: bus.InboxPrefix(bus.RoleGuard, n.cfg.Node)}
}

func (n *Node) guardLog() string {
	if n.data == nil {
		return ""
	}
	return filepath.Join(n.data.path, "guard.log")
}

// Watchman is the main function of the guard's process: it watches the host
// that started it, over the pipes it was given, and returns the exit code.
func Watchman(ctx context.Context) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	return guard.Main(ctx, os.NewFile(3, "host"), dialStore, log)
}

// errNoPeers is why a watchman of a single host has nobody to give a session
// back to.
var errNoPeers = errors.New("no other host has a server: the session ends with its ttl")

func dialStore(ctx context.Context, init guard.Init) (guard.Store, error) {
	var cfg watchmanStore
	if err := json.Unmarshal(init.Store, &cfg); err != nil {
		return nil, fmt.Errorf("read store of guard: %w", err)
	}
	if len(cfg.URLs) == 0 {
		return nil, errNoPeers
	}
	names, err := bus.NewNames(init.Platform)
	if err != nil {
		return nil, err
	}
	conn, err := bus.Dial(ctx, bus.Config{
		URLs: cfg.URLs, Auth: cfg.Auth, InboxPrefix: cfg.InboxPrefix, Name: "guard of " + init.Platform + "/" + init.Node,
	})
	if err != nil {
		return nil, err
	}
	sessions, err := bus.AttachRecords(conn, names.Sessions())
	if err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return &store{conn: conn, sessions: sessions, names: names}, nil
}

// store gives sessions back for a watchman.
type store struct {
	conn     *bus.Conn
	sessions *bus.Records
	names    bus.Names
}

// releaseTry bounds one request: while the streams have no leader, the next try
// is better than a longer wait.
const releaseTry = 60 * time.Millisecond

// firstRead and secondRead bound the first reads. They are made within milliseconds of the
// host's death. If its server led the stream, the others may send a request
// there still, and nobody ever answers.
const (
	firstRead  = 15 * time.Millisecond
	secondRead = 25 * time.Millisecond
)

// errOldRead is what a server that was cut off, or is behind, makes of a read:
// the lease that the guard was told was acknowledged, so it is there.
var errOldRead = errors.New("the record is older than the lease: read it again")

// Release ends the incarnation's session by compare-and-set, unless it is over.
func (s *store) Release(ctx context.Context, l guard.Lease) error {
	ctx, cancel := context.WithTimeout(ctx, firstRead+secondRead+releaseTry)
	defer cancel()
	rec, err := s.read(ctx, l.Node)
	if err != nil {
		return err
	}
	if rec.Seq == 0 {
		return errOldRead
	}
	sess, err := election.DecodeSession(l.Node, rec.Value)
	if err != nil {
		return err
	}
	switch {
	case sess.Inc > l.Inc:
		return guard.ErrReplaced
	case sess.Inc < l.Inc:
		return errOldRead
	case sess.Ended():
		return nil
	}
	sess.State, sess.By = election.StateReleased, "the guard of "+l.Node
	_, err = s.sessions.CAS(ctx, l.Node, rec.Seq, election.Encode(sess))
	return err
}

// read reads a node's session, and again if there is no answer soon.
func (s *store) read(ctx context.Context, node string) (bus.Record, error) {
	for _, limit := range []time.Duration{firstRead, secondRead} {
		soon, cancel := context.WithTimeout(ctx, limit)
		rec, err := s.sessions.Get(soon, node)
		late := soon.Err() != nil
		cancel()
		if err == nil || !late { // answered, if only by a no
			return rec, err
		}
	}
	return s.sessions.Get(ctx, node)
}

// Gone tells the other nodes to look at once.
func (s *store) Gone(ctx context.Context, l guard.Lease) error {
	return s.conn.Publish(ctx, s.names.Hint("gone"), []byte(l.Node))
}

// Close ends the connection.
func (s *store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return s.conn.Close(ctx)
}
