package control

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// How many nodes are asked at once, and how long one may take.
const (
	askAtOnce = 16
	askWait   = 2 * time.Second
)

// Apps asks every live node for its instances and puts them together, by name.
// An instance whose node does not answer is listed too: its role and phase are
// [Unknown], its reason says why. The error is about the list of nodes only.
func (c *Client) Apps(ctx context.Context) ([]App, error) {
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	return c.collect(ctx, nodes, nil), nil
}

// App returns one app, see [Client.Apps]. ErrAppNotFound if no node has it.
func (c *Client) App(ctx context.Context, name string) (App, error) {
	if err := pluginapi.CheckName("app", name); err != nil {
		return App{}, err
	}
	apps, err := c.Apps(ctx)
	if err != nil {
		return App{}, err
	}
	i := slices.IndexFunc(apps, func(a App) bool { return a.Name == name })
	if i < 0 {
		return App{}, fmt.Errorf("%w: %s: the platform has %s", pluginapi.ErrAppNotFound, name, names(apps, appName))
	}
	return apps[i], nil
}

// elsewhere lists the nodes with apps that a status does not tell of.
func elsewhere(s Status) (nodes []Node) {
	known := map[string]bool{}
	for _, a := range s.Apps {
		known[a.Name] = true
	}
	for _, n := range s.Nodes {
		if slices.ContainsFunc(n.Apps, func(app string) bool { return !known[app] }) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// said is what one node answered about its apps.
type said struct {
	node Node
	apps []App
	err  error
}

// collect asks all live nodes at once and merges what they say. Of known apps,
// it keeps mode, leader and epoch unless a node knows better.
func (c *Client) collect(ctx context.Context, nodes []Node, known []App) []App {
	answers := make([]said, len(nodes))
	slots := make(chan struct{}, askAtOnce)
	var wg sync.WaitGroup
	for i, n := range nodes {
		answers[i] = said{node: n}
		if !n.Up {
			answers[i].err = fmt.Errorf("node %s is not up", n.NodeID)
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, askWait)
			defer cancel()
			answers[i].apps, answers[i].err = ask[[]App](ctx, c, n.NodeID, verbApps, nil)
		})
	}
	wg.Wait()
	m := merger{}
	for _, a := range known {
		a.Instances = nil
		m.app(a)
	}
	for _, a := range answers {
		m.add(a)
	}
	return m.list()
}

// merger puts the answers of many nodes together, one app by name.
type merger map[string]*App

func (m merger) add(s said) {
	if s.err != nil {
		for _, name := range s.node.Apps {
			a := m.app(App{Name: name})
			a.Instances = append(a.Instances, Instance{Node: s.node.NodeID, Role: Unknown, Phase: Unknown, Reason: s.err.Error()})
		}
		return
	}
	for _, theirs := range s.apps {
		a := m.app(theirs)
		for _, inst := range theirs.Instances {
			if inst.Node == s.node.NodeID { // a node speaks for itself only
				a.Instances = append(a.Instances, inst)
			}
		}
	}
}

// app returns the app of that name, brought up to date with one more opinion
// on who leads it: the higher epoch wins. In the same epoch a node that leads
// knows best; next to it, that a leadership has ended is the later news.
func (m merger) app(theirs App) *App {
	a, ok := m[theirs.Name]
	if !ok {
		a = &App{Name: theirs.Name, Mode: theirs.Mode, Leader: theirs.Leader, Epoch: theirs.Epoch}
		m[theirs.Name] = a
		return a
	}
	if a.Mode == "" {
		a.Mode = theirs.Mode
	}
	newer := theirs.Epoch > a.Epoch
	same := theirs.Epoch == a.Epoch && theirs.Mode != ""
	if newer || same && (leads(theirs) || theirs.Leader == "" && !leads(*a)) {
		a.Leader, a.Epoch = theirs.Leader, theirs.Epoch
	}
	return a
}

// leads says whether an instance of the app says of itself that it leads.
func leads(a App) bool {
	return slices.ContainsFunc(a.Instances, func(i Instance) bool {
		return i.Role == RoleLeader && i.Node == a.Leader
	})
}

func (m merger) list() []App {
	out := make([]App, 0, len(m))
	for _, a := range sorted(m) {
		slices.SortFunc(a.Instances, func(x, y Instance) int { return cmp.Compare(x.Node, y.Node) })
		a.Instances = orEmpty(a.Instances)
		out = append(out, *a)
	}
	return out
}

func byNodeID(x, y Node) int { return cmp.Compare(x.NodeID, y.NodeID) }
func nodeID(n Node) string   { return n.NodeID }
func appName(a App) string   { return a.Name }

// names writes what there is, for the one who asked for something else.
func names[T any](list []T, name func(T) string) string {
	if len(list) == 0 {
		return "none"
	}
	out := make([]string, 0, len(list))
	for _, x := range list {
		out = append(out, name(x))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
