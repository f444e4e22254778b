package host

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
	"github.com/ozanturksever/go-cluster/host/core/membership"
)

// maxRequests bounds how many control requests are answered at once.
const maxRequests = 32

// serveControl answers the requests of the command line and of other nodes.
// stop ends it and waits for answers on their way.
func (n *Node) serveControl(ctx context.Context) (stop func(), err error) {
	slots := make(chan struct{}, maxRequests)
	var cancels []func()
	stop = func() {
		for _, c := range cancels {
			c()
		}
		for range maxRequests {
			slots <- struct{}{}
		}
	}
	answer := func(verb string) func(bus.Message) {
		return func(m bus.Message) {
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				if err := m.Respond(control.Serve(ctx, handler{n}, verb, m.Data)); err != nil {
					n.log.Debug("answer control request", "verb", verb, "err", err)
				}
			}()
		}
	}
	for _, verb := range n.verbs() {
		for subject, queue := range map[string]string{n.names.ControlAny(verb): "ctl", n.names.ControlNode(n.cfg.Node, verb): ""} {
			cancel, err := n.Bus().Subscribe(subject, queue, answer(verb))
			if err != nil {
				stop()
				return nil, fmt.Errorf("serve control requests: %w", err)
			}
			cancels = append(cancels, cancel)
		}
	}
	return stop, nil
}

// handler answers for a node.
type handler struct{ n *Node }

// Status is the platform as this node sees it.
func (h handler) Status(ctx context.Context) (control.Status, error) {
	n, v := h.n, h.n.View()
	s := control.Status{
		Platform: n.cfg.Platform, Node: n.cfg.Node, Version: n.cfg.Version, Incarnation: v.Inc, Controller: v.Controller,
		Session: control.Session{State: v.Session, ValidForMS: max(0, v.Until.Sub(n.cfg.now()).Milliseconds())},
		NATS:    n.natsStatus(ctx),
	}
	s.Nodes, _ = h.Nodes(ctx)
	s.Apps, _ = h.Apps(ctx)
	s.Warnings = n.warnings(s)
	return s, nil
}

func (n *Node) natsStatus(ctx context.Context) control.NATS {
	s := control.NATS{Mode: control.ModeExternal, URL: n.ClientURL(), Leaders: map[string]string{}}
	if n.server != nil {
		st := n.server.State()
		s.Mode, s.Voters, s.VotersUp, s.RaftTuned = control.ModeEmbedded, st.Voters, 1+len(st.PeersUp), st.RaftTuned
		if !st.RaftTuned && st.RaftReason != "" {
			s.Warnings = append(s.Warnings, "stock Raft timers: a crash stops writes for 4 to 8 s: "+st.RaftReason)
		}
		if len(st.NotCurrent) > 0 {
			s.Warnings = append(s.Warnings, fmt.Sprintf("replicas on %v are behind: do not restart another server now", st.NotCurrent))
		}
		if !st.Store {
			s.Warnings = append(s.Warnings, "this server's store has stopped, see its log: is the disk full?")
		}
	}
	if n.cfg.Join != nil {
		s.Mode = control.ModeClient
	}
	if n.View().Inc == 0 {
		return s // the streams may not be open yet
	}
	for _, r := range []*bus.Records{n.sessions, n.records} {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		l, err := r.Leader(ctx)
		cancel()
		if err != nil {
			s.Warnings = append(s.Warnings, fmt.Sprintf("stream %s: %v", r.Stream(), err))
		}
		s.Leaders[r.Stream()] = l.Leader
		if err == nil && n.cfg.Join != nil {
			s.Voters, s.VotersUp = l.Servers()
		}
	}
	return s
}

// warnings says what an operator should know before a fault teaches it.
func (n *Node) warnings(s control.Status) []string {
	var out []string
	if s.NATS.Mode == control.ModeClient && s.NATS.Voters == 1 {
		out = append(out, "one voter: when it is lost nobody can lead anything: let three hosts run a voting server")
	}
	if s.NATS.Mode != control.ModeExternal && s.NATS.Voters == 2 {
		out = append(out, "two voters cannot fail over by themselves: when one is lost the other has no majority: add a third host, or run gchost witness on a third machine")
	}
	if s.NATS.Mode == control.ModeExternal && n.cfg.TTL < DefaultExternalTTL {
		out = append(out, fmt.Sprintf("lease ttl %v with an existing NATS: its streams may not be writable for up to 8 s after a crash, and leaders then stop their work: %v is safe", n.cfg.TTL, DefaultExternalTTL))
	}
	if len(n.cfg.Guard) == 0 {
		out = append(out, "no guard: when this process dies its backends go on running and its leases are held until they expire")
	}
	return out
}

// Nodes lists every member.
func (h handler) Nodes(context.Context) ([]control.Node, error) {
	now := time.Now()
	out := []control.Node{}
	for _, m := range h.n.View().Members {
		out = append(out, control.Node{
			Member: m.Member, Version: m.Version, Incarnation: m.Inc, Cordoned: m.Cordoned, Leads: m.Leads,
			LastSeenMS: max(0, now.Sub(m.LastSeen).Milliseconds()), Up: m.Up, FailingChecks: m.Failing,
		})
	}
	return out, nil
}

// Cordon marks a node as one that takes no leadership, or takes the mark away.
func (h handler) Cordon(ctx context.Context, node string, on bool) error {
	_, err := h.n.Edit(ctx, node, membership.Edit{Cordon: &on})
	return err
}

// Label sets and removes labels of a node.
func (h handler) Label(ctx context.Context, node string, set map[string]string, remove []string) (map[string]string, error) {
	return h.n.Edit(ctx, node, membership.Edit{Set: set, Remove: remove})
}

// Edit changes what is stored about a node and returns its labels.
func (n *Node) Edit(ctx context.Context, node string, e membership.Edit) (map[string]string, error) {
	r, err := n.Do(ctx, func(id uint64) core.Input { return core.EditNode{ID: id, Node: node, Edit: e} })
	if err == nil {
		n.auditEdit(node, e, r)
	}
	return r.Labels, err
}

// Wish asks for a change of what is stored about a node and does not wait; what
// comes of it is logged.
func (n *Node) Wish(node string, e membership.Edit) {
	n.mu.Lock()
	n.serial++
	id := n.serial
	n.wishes[id] = func(r core.Reply) { n.auditEdit(node, e, r) }
	n.mu.Unlock()
	n.in.put(core.EditNode{ID: id, Node: node, Edit: e})
}

// StepDown gives the leadership of an app away.
func (h handler) StepDown(ctx context.Context, app string) (control.StepDownResult, error) {
	return h.n.StepDown(ctx, app)
}

// StepDown gives the leadership of an app of this node to the best standby. It
// returns when the record names the standby.
func (n *Node) StepDown(ctx context.Context, app string) (control.StepDownResult, error) {
	begun := time.Now()
	n.auditStepDown(app)
	r, err := n.Do(ctx, func(id uint64) core.Input { return core.StepDown{ID: id, App: app} })
	return control.StepDownResult{App: app, From: n.cfg.Node, To: r.To, Epoch: r.Epoch, TookMS: time.Since(begun).Milliseconds()}, err
}

// Apps describes the apps of this node.
func (h handler) Apps(ctx context.Context) ([]control.App, error) {
	v := h.n.View()
	out := []control.App{}
	for _, name := range slices.Sorted(maps.Keys(v.Apps)) {
		a := v.Apps[name]
		app := control.App{Name: name, Mode: control.AppSpread, Leader: a.Leader, Epoch: a.Epoch}
		if a.Singleton {
			app.Mode = control.AppSingleton
		}
		app.Instances = []control.Instance{h.n.describe(ctx, v, a)}
		out = append(out, app)
	}
	return out, nil
}

func (n *Node) describe(ctx context.Context, v *core.View, a core.AppView) control.Instance {
	i := control.Instance{Node: n.cfg.Node, Role: n.Role(a.Name), Phase: a.Phase.String(), Since: a.Since, Reason: a.Reason, HookError: a.LastError}
	if a.Step != "" {
		i.Phase += ": " + a.Step
	}
	i.Database = n.describeDatabase(ctx, a.Name)
	b := n.apps[a.Name].Backend
	if b == nil {
		return i
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	health, err := b.Health(ctx)
	if err != nil {
		health.Message = err.Error()
	}
	i.Backend = &control.Backend{Status: health.Status, Message: health.Message, UptimeMS: health.Uptime.Milliseconds()}
	if c, ok := b.(interface{ RestartCount() int }); ok {
		i.Backend.Restarts = c.RestartCount()
	}
	if c, ok := b.(interface{ Isolation() string }); ok {
		i.Backend.Isolation = c.Isolation()
	}
	return i
}

// Role is what this node is for an app at this moment: leader, standby, active,
// or "" before it has joined.
func (n *Node) Role(app string) string {
	v := n.View()
	a, ok := v.Apps[app]
	switch {
	case !ok || v.Session != "live" && a.Singleton:
		return ""
	case !a.Singleton && a.Phase == lifecycle.Active:
		return control.RoleActive
	case !a.Singleton:
		return ""
	}
	if _, leads := v.Leading(n.cfg.now(), app); leads {
		return control.RoleLeader
	}
	return control.RoleStandby
}
