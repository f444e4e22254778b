package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// errCut is what a request gets when the connection is lost after it was sent.
var errCut = fmt.Errorf("%w: the connection was lost", pluginapi.ErrUnknownOutcome)

// fate is what the fake network does with a request.
type fate int

const (
	deliver  fate = iota
	swallow       // it does not arrive
	mute          // it arrives, the answer does not
	cut           // it arrives, and the sender is told that the connection is lost
	cutEarly      // as cut, and no early word comes either
	offline       // it is not sent
)

// network is a bus in memory.
type network struct {
	mu   sync.Mutex
	at   map[Address][]*listener
	turn int
	sent []Address
	fate func(to Address, n int) fate // of the n-th request, from 1; nil: deliver

	tickets uint64
	waits   map[uint64]bool
}

type listener struct {
	mu sync.Mutex
	fn func(Message)
}

func newNetwork() *network { return &network{at: map[Address][]*listener{}, waits: map[uint64]bool{}} }

func (n *network) MaxPayload() int { return 1 << 20 }

func (n *network) Listen(at Address, fn func(Message)) (func(context.Context) error, error) {
	l := &listener{fn: fn}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at[at] = append(n.at[at], l)
	return func(context.Context) error {
		n.mu.Lock()
		n.at[at] = slices.DeleteFunc(n.at[at], func(o *listener) bool { return o == l })
		n.mu.Unlock()
		l.mu.Lock() // waits for the callback that runs
		defer l.mu.Unlock()
		l.fn = func(Message) {}
		return nil
	}, nil
}

// to returns who gets the next message.
func (n *network) to(to Address) (*listener, fate) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent = append(n.sent, to)
	f := deliver
	if n.fate != nil {
		f = n.fate(to, len(n.sent))
	}
	if len(n.at[to]) == 0 {
		return nil, f
	}
	n.turn++
	return n.at[to][n.turn%len(n.at[to])], f
}

func (n *network) Ask(to Address, h Header, note string, data []byte, a Asker) (uint64, error) {
	l, f := n.to(to)
	switch {
	case f == offline:
		return 0, errors.New("not connected")
	case l == nil:
		return 0, pluginapi.ErrUnreachable
	}
	n.mu.Lock()
	n.tickets++
	ticket := n.tickets
	n.waits[ticket] = true
	n.mu.Unlock()
	tell := func(h Header, data []byte, err error) {
		if h[HeadTaken] != nil || n.Forget(ticket) {
			a.Answered(h, data, err)
		}
	}
	if f != swallow {
		l.mu.Lock()
		l.fn(Message{Header: h, Note: note, Data: data, Respond: func(h Header, data []byte) error {
			if f == deliver || h[HeadTaken] != nil && f != cutEarly {
				tell(h, data, nil)
			}
			return nil
		}})
		l.mu.Unlock()
	}
	if f == cut || f == cutEarly {
		tell(nil, nil, errCut)
	}
	return ticket, nil
}

func (n *network) Forget(ticket uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	waits := n.waits[ticket]
	delete(n.waits, ticket)
	return waits
}

func (n *network) Send(_ context.Context, to Address, h Header) error {
	if l, f := n.to(to); l != nil && f != swallow {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.fn(Message{Header: h})
	}
	return nil
}

func (n *network) requests() []Address {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.sent)
}

// town is a directory that a test sets.
type town struct {
	mu    sync.Mutex
	lead  Lead
	peers []Peer
	lives map[string]uint64     // incarnations; 1 if there is no entry
	apps  func(app string) bool // whether anybody is known to have it; nil: yes
}

func (d *town) Lead(context.Context, string) (Lead, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lead, nil
}

func (d *town) elect(l Lead) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lead = l
}

func (d *town) Wait(ctx context.Context, _ string, _ Lead, pause time.Duration) { sleep(ctx, pause) }

func (d *town) Peers(app string) []Peer {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.apps != nil && !d.apps(app) {
		return nil
	}
	return d.peers
}

func (d *town) settle(peers ...Peer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.peers = peers
}

func (d *town) Incarnation(node string) (uint64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.ContainsFunc(d.peers, func(p Peer) bool { return p.Node == node }) {
		return max(d.lives[node], 1), true
	}
	return 0, true
}

// reborn begins another life of a node.
func (d *town) reborn(node string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lives == nil {
		d.lives = map[string]uint64{}
	}
	d.lives[node] = max(d.lives[node], 1) + 1
}

// world is a network with servers of app "web" and a client on node "c".
type world struct {
	t *testing.T
	*network
	town    *town
	client  *Client
	servers map[string]*Server
	leader  string // whose lease holds
	epoch   pluginapi.Epoch
	mu      sync.Mutex
	handled []string
	stale   int
	circuit []string
	called  []string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, network: newNetwork(), town: &town{}, servers: map[string]*Server{}}
	w.client = NewClient(ClientConfig{Node: "c", Bus: w.network, Directory: w.town, Observer: w.observer()})
	return w
}

func (w *world) note(list *[]string, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*list = append(*list, fmt.Sprintf(format, args...))
}

func (w *world) noted(list *[]string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(*list)
}

func (w *world) observer() Observer {
	return Observer{
		Handled: func(app, method string, s Status, _ time.Duration) { w.note(&w.handled, "%s %s %s", app, method, s) },
		Called:  func(from, app, _ string, s Status, _ time.Duration) { w.note(&w.called, "%s>%s %s", from, app, s) },
		Stale:   func(string, string) { w.mu.Lock(); w.stale++; w.mu.Unlock() },
		Circuit: func(_, node string, s Circuit) { w.note(&w.circuit, "%s %s", node, s) },
	}
}

// serve opens a server on a node.
func (w *world) serve(node string, handlers map[string]Handler, change ...func(*ServerConfig)) *Server {
	w.t.Helper()
	cfg := ServerConfig{Platform: "p", App: "web", Node: node, Handlers: handlers, Bus: w.network, Observer: w.observer(), Logger: slog.New(slog.DiscardHandler)}
	for _, fn := range change {
		fn(&cfg)
	}
	s := NewServer(cfg)
	if err := s.Open(); err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.servers[node] = s
	w.mu.Unlock()
	w.town.settle(append(slices.Clone(w.town.Peers("")), Peer{Node: node, Healthy: true})...)
	return s
}

// led gives servers a lease that the world hands out.
func (w *world) led(c *ServerConfig) {
	node := c.Node
	c.Lease = func() (pluginapi.Lease, bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		epoch := w.epoch
		return pluginapi.Lease{Epoch: epoch, Valid: func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.leader == node && w.epoch == epoch
		}}, w.leader == node
	}
}

func (w *world) elect(node string, epoch pluginapi.Epoch) {
	w.mu.Lock()
	w.leader, w.epoch = node, epoch
	w.mu.Unlock()
	w.town.elect(Lead{LeadOne, node, epoch})
}

func (w *world) end() {
	w.client.Close()
	for _, s := range w.servers {
		s.Close(context.Background())
	}
}

// inBubble runs a test in fake time. What still runs when it ends fails it.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		test(t, w)
		w.end()
	})
}

func echo(_ context.Context, req []byte) ([]byte, error) { return req, nil }

// want fails the test unless err holds all of these errors, and none of not.
func want(t *testing.T, err error, is []error, not ...error) {
	t.Helper()
	for _, e := range is {
		if !errors.Is(err, e) {
			t.Errorf("error %v, want %v", err, e)
		}
	}
	for _, e := range not {
		if errors.Is(err, e) {
			t.Errorf("error %v is %v", err, e)
		}
	}
	if err == nil {
		t.Error("no error")
	}
}
