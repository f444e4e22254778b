package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ozanturksever/go-cluster/host/bus"
)

// Server is a NATS server of this process. It runs once: make another one on
// the same Dir to run again.
type Server struct {
	cfg   Config
	names bus.Names
	log   *slog.Logger

	started atomic.Bool
	ready   chan struct{}
	running atomic.Pointer[instance]
}

// instance is what exists while a server runs.
type instance struct {
	nats  *server.Server
	stop  func() error // shuts nats down, once
	mesh  *mesh        // nil for a single server
	stock string       // why the Raft timers are not those of a LAN
	deaths,
	stood atomic.Int64 // peers lost, Raft nodes sent to election for it
}

// New checks a configuration. It starts nothing and touches nothing but the TLS
// files, which it reads.
//
// # Errors
//
// Every fault of the configuration at once, each with the name of the setting
// and what to give instead; errors.Is(err, pluginapi.ErrInvalid) holds.
func New(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	names, err := bus.NewNames(cfg.Platform)
	if err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, names: names, log: cfg.Logger, ready: make(chan struct{})}, nil
}

// Run starts the server, closes [Server.Ready] and returns after ctx has ended
// and the server with all its connections, listeners and goroutines; the store
// can then be opened again. Leaderships are handed over without waiting for it:
// see [Server.StepDown].
//
// # Errors
//
// What kept the server from starting (a port that is in use, a store that is
// another one's or cannot be written), or made it give up later; nothing is
// left running. nil when ctx ended it.
func (s *Server) Run(ctx context.Context) error {
	if s.started.Swap(true) {
		return errors.New("run embedded server: it ran before: make a new one")
	}
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("run embedded server %s: %w", s.cfg.Name, err)
	}
	return nil
}

func (s *Server) run(ctx context.Context) error {
	closeStore, err := openStore(s.cfg.Dir, s.cfg.identity())
	if err != nil {
		return err
	}
	if err = s.checkPorts(); err == nil {
		err = s.start(ctx)
	}
	if !errors.Is(err, errStillRuns) { // else the store is not free, and stays locked
		closeStore()
	}
	return err
}

// start runs the server on a store that is open.
func (s *Server) start(ctx context.Context) (err error) {
	in := &instance{stock: setTimers(s.cfg.Raft, raftTimers())}
	if in.stock != "" && s.cfg.Raft == LAN {
		s.log.Warn("raft timers of the embedded server are stock: a lost stream leader costs up to 9 s when the peer mesh does not see it", "reason", in.stock)
	}
	if in.mesh, err = s.newMesh(in); err != nil {
		return err
	}
	if in.mesh != nil {
		defer in.mesh.ln.Close()
	}
	lines := newServerLog(s.log)
	if in.nats, err = s.newServer(lines); err != nil {
		return err
	}
	in.stop = sync.OnceValue(func() error { return stopServer(in.nats, s.log) })
	defer func() {
		s.running.Store(nil)
		err = errors.Join(err, in.stop())
	}()
	in.nats.Start()
	if err := s.untilListening(ctx, in.nats, lines.fatal); err != nil || ctx.Err() != nil {
		return err
	}
	return s.serve(ctx, in, lines.fatal)
}

// serve runs the mesh beside the server. The mesh ends last: the peers shall
// see its end when the server is gone, not before.
func (s *Server) serve(ctx context.Context, in *instance, fatal <-chan error) (err error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	meshCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if in.mesh != nil {
		wg.Go(func() { in.mesh.run(meshCtx) })
	}
	s.running.Store(in)
	close(s.ready)
	select {
	case <-ctx.Done():
	case err = <-fatal:
	}
	s.running.Store(nil)
	_ = in.stop() // start tells
	return err
}

func (s *Server) newServer(lines *serverLog) (*server.Server, error) {
	g := &gate{secret: s.cfg.Secret, names: s.names, log: s.log}
	opts, err := s.cfg.options(g)
	if err != nil {
		return nil, err
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("make server: %w", err)
	}
	if err := g.open(srv); err != nil {
		return nil, err
	}
	srv.SetLoggerV2(lines, false, false, false)
	return srv, nil
}

// checkPorts finds a port that is in use before anything starts. The server
// finds it too, but only after it has opened its store.
func (s *Server) checkPorts() error {
	try := []setting{{"Listen", s.cfg.Listen}}
	if s.cfg.Cluster != nil {
		try = append(try, setting{"Cluster.Listen", s.cfg.Cluster.Listen})
	}
	for _, a := range try {
		ln, err := net.Listen("tcp", a.addr)
		if err != nil {
			return fmt.Errorf("%s: %w: choose another address, or end the process that has it", a.setting, err)
		}
		ln.Close()
	}
	return nil
}

func (s *Server) newMesh(in *instance) (*mesh, error) {
	if s.cfg.Cluster == nil {
		return nil, nil
	}
	certs, err := s.cfg.TLS.load()
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", s.cfg.Cluster.Mesh)
	if err != nil {
		return nil, fmt.Errorf("Cluster.Mesh: %w: choose another address, or end the process that has it", err)
	}
	m := &mesh{
		self: s.cfg.Name, peers: map[string]string{}, key: meshKey(s.cfg.Platform, s.cfg.Secret),
		tls: certs.peers, ln: ln, log: s.log, links: map[string]*link{},
	}
	m.died = func(peer string) {
		stood := campaign(in.nats, peer)
		in.stood.Add(int64(stood))
		in.deaths.Add(1)
		s.log.Info("lost a peer of the embedded server", "peer", peer, "campaigned", stood)
	}
	for _, p := range s.cfg.Cluster.Peers {
		m.peers[p.Name] = p.Mesh
	}
	return m, nil
}

const listenPoll = 50 * time.Millisecond

// untilListening returns when clients and routes can connect and the streams on
// disk are open.
func (s *Server) untilListening(ctx context.Context, srv *server.Server, fatal <-chan error) error {
	for !srv.ReadyForConnections(listenPoll) {
		select {
		case <-ctx.Done():
			return nil
		case err := <-fatal:
			return err
		default:
		}
	}
	select {
	case err := <-fatal:
		return err
	default:
	}
	if !srv.JetStreamEnabled() {
		return fmt.Errorf("JetStream did not start on %s: see the log", s.cfg.Dir)
	}
	return nil
}
