package rpc

import (
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// run is a call whose handler runs.
type run struct {
	s     *Server
	h     Handler
	q     Question
	req   []byte
	key   string // "" if the call has no id
	lease pluginapi.Lease
	ctx   callContext
	began time.Time
	why   pluginapi.Error               // the context was ended before its deadline; guarded by the server
	tell  []func(Header, []byte) error  // who waits for the answer; guarded by the server
	first [1]func(Header, []byte) error // of them, at first
}

// do implements job.
func (r *run) do() { r.s.serve(r) }

// onceKey is what a call that may be repeated is remembered by.
func (r *run) onceKey() string { return r.key + "/" + r.q.Method }

// admit starts the handler of a call, or says why not.
func (s *Server) admit(m Message, q Question) {
	h, known := s.cfg.Handlers[q.Method]
	if !known {
		s.refuse(m, q, refuse(pluginapi.ErrNoMethod, "app %s has no method %s", s.cfg.App, q.Method))
		return
	}
	now := time.Now()
	s.mu.Lock()
	r, f, done := s.decide(now, m, q, h)
	if r != nil {
		s.begin(now, r)
	}
	crew := s.crew
	s.mu.Unlock()
	switch {
	case f != nil:
		s.refuse(m, q, *f)
		return
	case done != nil:
		s.respond(m.Respond, done.head, done.body)
		return
	case q.Where:
		s.respond(m.Respond, Header{HeadTaken: {s.cfg.Node}}, nil)
	}
	if r == nil { // it has joined
		return
	}
	crew.do(r)
}

// decide returns the call if it is to be begun, the fault if it is refused, or
// the answer if it is known already; nothing, if the call has joined one that
// runs. s.mu is held.
func (s *Server) decide(now time.Time, m Message, q Question, h Handler) (r *run, f *fault, done *memory) {
	no := func(f fault) (*run, *fault, *memory) { return nil, &f, nil }
	if !s.open {
		return no(refuse(pluginapi.ErrShuttingDown, "app %s ends on node %s", s.cfg.App, s.cfg.Node))
	}
	r = &run{s: s, h: h, q: q, req: m.Data, began: now}
	r.tell = append(r.first[:0], m.Respond)
	if q.ID != "" {
		r.key = callKey(q.Node, q.ID)
	}
	if q.Once {
		switch v, known := s.window.look(now, r.onceKey(), q.Age); v {
		case join:
			known.run.tell = append(known.run.tell, m.Respond)
			return nil, nil, nil
		case repeat:
			if known.cut > 0 {
				return no(fault{string(pluginapi.ErrTooLarge), "", tooLargeToRepeat(known.cut)})
			}
			return nil, nil, known
		case forgotten:
			return no(fault{string(pluginapi.ErrUnknownOutcome), stateRunning, "outcome unknown: node " + s.cfg.Node + " does not remember whether it has run this call"})
		}
	}
	if f := s.checkLead(r); f != nil {
		return nil, f, nil
	}
	if s.slots >= s.cfg.Pool {
		return no(refuse(pluginapi.ErrBusy, "%d calls of app %s run on node %s, the most that may", s.cfg.Pool, s.cfg.App, s.cfg.Node))
	}
	return r, nil, nil
}

// checkLead refuses a call to the leader unless this node leads at this moment,
// in the epoch that the caller speaks of.
func (s *Server) checkLead(r *run) *fault {
	if !r.q.ToLeader || s.cfg.Lease == nil && r.q.Epoch == 0 {
		return nil
	}
	if s.cfg.Lease == nil {
		f := refuse(pluginapi.ErrNoLeader, "app %s is active on every node, none leads it", s.cfg.App)
		return &f
	}
	var leads bool
	if r.lease, leads = s.cfg.Lease(); leads && r.lease.Epoch == s.leading && (r.q.Epoch == 0 || r.q.Epoch == s.leading) {
		return nil
	}
	s.cfg.Observer.stale(s.cfg.App, r.q.Method)
	f := refuse(pluginapi.ErrNotLeader, "node %s does not lead app %s, or not in epoch %d, or is not active yet", s.cfg.Node, s.cfg.App, r.q.Epoch)
	return &f
}

// begin enters a call into the book. s.mu is held.
func (s *Server) begin(now time.Time, r *run) {
	if r.q.Wait == 0 {
		r.q.Wait = DefaultWait
	}
	r.ctx.due = now.Add(r.q.Wait)
	r.ctx.call = HandlerContext{
		Method: r.q.Method, NodeID: s.cfg.Node, AppName: s.cfg.App, PlatformName: s.cfg.Platform,
		RequestID: r.q.ID, CallerNode: r.q.Node, CallerApp: r.q.App, StartTime: now, Metadata: r.q.Meta,
	}
	s.clock.heed(r.ctx.due)
	s.running[r] = struct{}{}
	s.slots++
	if r.key != "" {
		s.byID[r.key] = r
	}
	if r.q.Once {
		s.window.enter(now, r.onceKey(), r)
	}
}
