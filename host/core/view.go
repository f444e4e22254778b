package core

import (
	"maps"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// View is an immutable picture of what a node knows. It is shared: nobody may
// change it.
type View struct {
	Node       string
	Inc        uint64 // 0 while there is no session
	Session    string // phase of the session
	Until      time.Time
	Controller string
	Shutdown   bool
	Members    []MemberView // sorted by node
	Apps       map[string]AppView
}

// MemberView is a node of the platform.
type MemberView struct {
	pluginapi.Member
	Inc      uint64
	Cordoned bool
	Leads    int
	Version  string
	Up       bool     // its session holds, and it was heard of lately
	Failing  []string // its health checks that fail, by its own word
}

// AppView is an app as this node sees it.
type AppView struct {
	Name      string
	Singleton bool
	Leader    string          // the living holder; "" if there is none
	Owner     election.Holder // what the record says, alive or not
	Epoch     pluginapi.Epoch // of the record
	Held      bool            // this node owns it; only Leading may guard an act
	HeldEpoch pluginapi.Epoch
	Phase     lifecycle.Phase
	Since     time.Time // of the phase, wall clock
	Reason    string    // why it is passive, or the last leadership was given away
	LastError string
	Step      string // the step that runs now, "" if none
}

// Leading reports whether the node may act for the app at this very moment.
func (v *View) Leading(now time.Time, app string) (pluginapi.Epoch, bool) {
	a, ok := v.Apps[app]
	return a.HeldEpoch, ok && a.Held && v.Session == election.Live.String() && now.Before(v.Until)
}

// View returns the present picture.
func (c *Core) View() *View {
	if c.view != nil && !c.dirty {
		return c.view
	}
	c.dirty = false
	v := &View{
		Node: c.cfg.Node, Inc: c.session.Self().Inc, Session: c.session.Phase().String(), Until: c.session.Until(),
		Controller: c.control.Owner(c.now).Node, Shutdown: c.shutdown, Apps: c.appViews(),
	}
	for _, e := range c.members.Table().Members {
		m := MemberView{Member: c.member(e), Inc: e.Inc, Leads: c.leads[e.Node]}
		m.Up = c.up(e, m.LastSeen)
		if n := c.nodes[e.Node]; n != nil {
			m.Cordoned, m.Version, m.Failing = n.rec.Cordoned, n.rec.Version, slices.Clone(n.rec.Failing)
		}
		v.Members = append(v.Members, m)
	}
	c.view = v
	return v
}

// appViews returns the pictures of all apps: the same map as last time, which
// nobody changes, if no app has changed.
func (c *Core) appViews() map[string]AppView {
	views, shared := map[string]AppView{}, false
	if c.view != nil {
		views, shared = c.view.Apps, true
	}
	for _, a := range c.order {
		if a.stale || c.staleApps {
			if shared {
				views, shared = maps.Clone(views), false
			}
			views[a.name] = a.view()
			a.stale = false
		}
	}
	c.staleApps = false
	return views
}

func (a *app) view() AppView {
	v := AppView{
		Name: a.name, Singleton: a.single, Phase: a.machine.Phase(), Since: a.since,
		Reason: a.machine.Reason(), LastError: a.machine.LastError(),
	}
	if s, ok := a.machine.Running(); ok {
		v.Step = s.String()
	}
	if a.own == nil {
		return v
	}
	rec := a.own.Record().Record
	v.Owner, v.Epoch, v.Leader = rec.Holder, rec.Epoch, a.own.Owner(a.c.now).Node
	if a.own.Held() {
		v.Held, v.HeldEpoch = true, rec.Epoch
	}
	return v
}

// Nodes returns the names of all nodes that were ever known, living or not.
func (c *Core) Nodes() []string { return slices.Sorted(maps.Keys(c.nodes)) }
