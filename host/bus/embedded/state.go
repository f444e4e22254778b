package embedded

import (
	"context"
	"errors"
	"net"

	"github.com/ozanturksever/go-cluster/host/bus"
)

var errNotRunning = errors.New("embedded server is not running")

// State is what a server knows of itself and its cluster at one moment.
type State struct {
	Running    bool     // between Ready and the end of Run; everything but Voters is empty otherwise
	Voters     int      // configured servers, with this one
	PeersUp    []string // voters whose peer mesh connection lives, sorted
	Store      bool     // JetStream works here; false when it gave up, as on a full disk
	RaftTuned  bool     // the Raft timers are those of a LAN
	RaftReason string   // why they are not, "" when they are
	MetaLeader string   // server that leads JetStream's meta group; "" when none is known, and on a single server
	NotCurrent []string // servers of which this one knows that a replica is behind or silent, sorted; never restart another one before it is empty
}

// Ready is closed when the server accepts connections and has opened its store.
// In a cluster JetStream answers only when a majority has found together, and
// the very first time only when all voters have: the server does not let a
// majority of empty logs found a cluster, since the others might not be empty.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// InProcessConn makes a connection to the server inside the process, for
// nats.InProcessServer. It logs in like any other.
//
// # Errors
//
// When the server does not run.
func (s *Server) InProcessConn() (net.Conn, error) {
	in := s.running.Load()
	if in == nil {
		return nil, errNotRunning
	}
	return in.nats.InProcessConn()
}

// ClientURL is where clients of other processes connect, "" when the server
// does not run.
func (s *Server) ClientURL() string {
	in := s.running.Load()
	if in == nil {
		return ""
	}
	return in.nats.ClientURL()
}

// Login is a login that this server accepts.
func (s *Server) Login(role bus.Role, id string) (user, password string) {
	return bus.Login(s.cfg.Secret, role, id)
}

// State tells how the server is. It asks no other server and costs
// microseconds for each stream and consumer.
func (s *Server) State() State {
	voters := s.cfg.voters()
	st := State{Voters: len(voters)}
	in := s.running.Load()
	if in == nil {
		return st
	}
	st.Running, st.Store = true, in.nats.JetStreamEnabled()
	st.RaftTuned, st.RaftReason = in.stock == "", in.stock
	if in.mesh != nil {
		st.PeersUp = in.mesh.up()
		st.MetaLeader = metaLeader(in.nats)
		st.NotCurrent = notCurrent(in.nats, voters)
	}
	return st
}

// StepDown hands over every Raft leadership that this server holds, of streams,
// consumers and the meta group, each to a server that is up to date, and
// returns when others lead. Call it before a planned stop: streams then stall
// for milliseconds. A single server has nothing to hand over.
//
// # Errors
//
// When the server does not run, no peer is there, or ctx ends first: with the groups that nobody
// could take.
func (s *Server) StepDown(ctx context.Context) error {
	in := s.running.Load()
	if in == nil {
		return errNotRunning
	}
	if in.mesh == nil {
		return nil
	}
	return stepDown(ctx, in.nats, func() bool { return len(in.mesh.up()) == 0 })
}
