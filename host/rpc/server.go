package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// DefaultPool is how many calls of one app run on a node at the same time,
// unless the app says otherwise.
const DefaultPool = 256

// How long calls may go on when what they stand on ends, before their contexts
// are ended.
const (
	graceLead = 100 * time.Millisecond // of the leadership
	graceStop = time.Second            // of the app on this node
)

// ServerConfig is what a [Server] needs to know.
type ServerConfig struct {
	Platform, App, Node string
	Handlers            map[string]Handler // with their middleware around them
	Named               []error            // the app's errors that keep their name on the wire
	Pool                int                // calls that run at the same time; 0: DefaultPool
	// Lease returns the leadership of this node at the moment of use; nil for an
	// app without leaders.
	Lease    func() (pluginapi.Lease, bool)
	Bus      Bus
	Observer Observer
	Logger   *slog.Logger
}

// Server answers the calls to one app on one node. A new Server is closed.
type Server struct {
	cfg ServerConfig

	mu      sync.Mutex
	open    bool
	stops   []func(context.Context) error
	leading pluginapi.Epoch   // the epoch in which calls to the leader are answered; 0: in none
	running map[*run]struct{} // handlers that run, and answers on their way
	slots   int               // taken, of the pool
	byID    map[string]*run
	window  *Window
	ended   chan struct{} // closed when a call ends; nil: nobody waits
	crew    *crew         // while it is open
	clock   *clock        // while it is open
}

// NewServer returns a server that has started nothing.
func NewServer(cfg ServerConfig) *Server {
	if cfg.Pool == 0 {
		cfg.Pool = DefaultPool
	}
	return &Server{cfg: cfg, running: map[*run]struct{}{}, byID: map[string]*run{}}
}

// Open begins to answer calls. It may be called again after Close. It is no
// error to open what is open.
func (s *Server) Open() error {
	s.mu.Lock()
	if s.open {
		s.mu.Unlock()
		return nil
	}
	s.open, s.crew = true, newCrew()
	s.startClock()
	if s.window == nil { // what was remembered before a Close is true after it
		s.window = NewWindow(time.Now())
	}
	s.mu.Unlock()
	for _, node := range []string{s.cfg.Node, ""} {
		stop, err := s.cfg.Bus.Listen(Address{s.cfg.App, node}, s.take)
		if err != nil {
			s.Close(context.Background())
			return fmt.Errorf("serve calls of app %s: %w", s.cfg.App, err)
		}
		s.mu.Lock()
		s.stops = append(s.stops, stop)
		s.mu.Unlock()
	}
	return nil
}

// Close takes no further calls: what was delivered already is refused, with
// ErrShuttingDown, so that nobody waits for an answer that does not come. It
// waits for the calls that run: a second, then it ends their contexts, then for
// as long as ctx allows. The callers of those that still run then are told so.
func (s *Server) Close(ctx context.Context) {
	s.mu.Lock()
	open, stops, crew, clock := s.open, s.stops, s.crew, s.clock
	s.open, s.stops, s.leading = false, nil, 0
	s.mu.Unlock()
	if !open {
		return
	}
	s.deafen(ctx, stops)
	left := s.drain(ctx, graceStop, pluginapi.ErrShuttingDown, func(*run) bool { return true })
	for _, r := range left {
		s.tell(r, fault{string(pluginapi.ErrShuttingDown), stateRunning, fmt.Sprintf("%v: the handler still runs", pluginapi.ErrShuttingDown)})
	}
	clock.stop()
	crew.close(len(left) == 0)
}

// deafen stops listening, at all addresses at the same time.
func (s *Server) deafen(ctx context.Context, stops []func(context.Context) error) {
	var all sync.WaitGroup
	for _, stop := range stops {
		all.Go(func() {
			if err := stop(ctx); err != nil {
				s.cfg.Logger.Debug("stop listening for calls", "app", s.cfg.App, "err", err)
			}
		})
	}
	all.Wait()
}

// Lead begins to answer calls to the leader of this epoch.
func (s *Server) Lead(epoch pluginapi.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		s.leading = epoch
	}
}

// Yield ends that, and returns when no call to the leader runs any more: a
// moment later it ends their contexts, and then it waits however long that
// takes. What a handler does for the leader is work that must have stopped
// before another node leads.
func (s *Server) Yield(ctx context.Context) {
	s.mu.Lock()
	s.leading = 0
	s.mu.Unlock()
	toLeader := func(r *run) bool { return r.q.ToLeader }
	s.drain(ctx, graceLead, pluginapi.ErrNotLeader, toLeader)
	s.wait(context.Background(), toLeader)
}

// drain waits until the chosen calls have ended, ends their contexts after the
// grace, and returns those that still run when ctx ends.
func (s *Server) drain(ctx context.Context, grace time.Duration, why pluginapi.Error, of func(*run) bool) []*run {
	late, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	for _, r := range s.wait(late, of) {
		s.stopRun(r, why)
	}
	left := s.wait(ctx, of)
	for _, r := range left {
		s.cfg.Logger.Warn("a handler does not end", "app", s.cfg.App, "method", r.q.Method, "since", time.Since(r.began).Round(time.Millisecond), "because", string(why))
	}
	return left
}

// wait returns the chosen calls that still run when ctx ends.
func (s *Server) wait(ctx context.Context, of func(*run) bool) []*run {
	for {
		left, ended := s.runs(of)
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return left
		}
	}
}

// runs returns the chosen calls that run, and what is closed when one ends.
func (s *Server) runs(of func(*run) bool) (out []*run, ended <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.running {
		if of(r) {
			out = append(out, r)
		}
	}
	if s.ended == nil {
		s.ended = make(chan struct{})
	}
	return out, s.ended
}

// take is told each message. It never waits for a handler.
func (s *Server) take(m Message) {
	var q Question
	var err error
	if m.Note != "" && len(m.Header) == 0 {
		q, err = readNote(m.Note)
	} else {
		q, err = readQuestion(m.Header)
	}
	switch {
	case err != nil:
		s.refuse(m, q, fault{string(pluginapi.ErrInvalid), stateRefused, err.Error()})
	case q.Cancel != "":
		s.cancel(q)
	case m.Respond == nil:
		s.cfg.Logger.Debug("a call without an address for the answer", "app", s.cfg.App, "method", q.Method)
	default:
		s.admit(m, q)
	}
}

// cancel ends the context of a call whose caller waits no more.
func (s *Server) cancel(q Question) {
	s.mu.Lock()
	r := s.byID[callKey(q.Node, q.Cancel)]
	s.mu.Unlock()
	if r != nil {
		s.stopRun(r, pluginapi.ErrUnknownOutcome) // for who repeats the call: how far did it get?
	}
}

// callKey tells the calls of one node from those of another.
func callKey(node, id string) string { return node + "/" + id }

func (s *Server) refuse(m Message, q Question, f fault) {
	method, status := q.Method, StatusRefused
	if _, known := s.cfg.Handlers[method]; !known {
		method = noName
	}
	if f.code == string(pluginapi.ErrBusy) {
		status = StatusBusy
	}
	s.cfg.Observer.handled(s.cfg.App, method, status, 0)
	s.respond(m.Respond, f.header(s.cfg.Node), f.body())
}

func (s *Server) respond(to func(Header, []byte) error, h Header, body []byte) {
	if to == nil {
		return
	}
	if err := to(h, body); err != nil {
		s.cfg.Logger.Debug("answer a call", "app", s.cfg.App, "err", err)
	}
}
