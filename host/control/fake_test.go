package control_test

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// host is a Handler that answers what it is told to and notes what it was
// asked.
type host struct {
	status control.Status
	nodes  []control.Node
	apps   []control.App
	labels map[string]string
	result control.StepDownResult
	err    error
	panics bool

	onStepDown func()

	mu    sync.Mutex
	calls []string
}

func (h *host) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, fmt.Sprintf(format, args...))
	if h.panics {
		panic("ouch")
	}
}

func (h *host) Status(ctx context.Context) (control.Status, error) {
	h.note("status")
	return h.status, h.err
}

func (h *host) Nodes(ctx context.Context) ([]control.Node, error) {
	h.note("nodes")
	return h.nodes, h.err
}

func (h *host) Cordon(ctx context.Context, node string, on bool) error {
	h.note("cordon %s %t", node, on)
	return h.err
}

func (h *host) Label(ctx context.Context, node string, set map[string]string, remove []string) (map[string]string, error) {
	h.note("label %s set %v remove %v", node, set, remove)
	out := maps.Clone(h.labels)
	maps.Copy(out, set)
	for _, k := range remove {
		delete(out, k)
	}
	return out, h.err
}

func (h *host) Apps(ctx context.Context) ([]control.App, error) {
	h.note("apps")
	return h.apps, h.err
}

func (h *host) StepDown(ctx context.Context, app string) (control.StepDownResult, error) {
	h.note("stepdown %s", app)
	if h.onStepDown != nil {
		h.onStepDown()
	}
	return h.result, h.err
}

// wire carries requests to hosts by name; "" goes to the host called any.
type wire struct {
	hosts map[string]*host
	any   string
	raw   func(node, verb string, data []byte) ([]byte, error) // replaces the hosts
}

func (w wire) Request(ctx context.Context, node, verb string, data []byte) ([]byte, error) {
	if w.raw != nil {
		return w.raw(node, verb, data)
	}
	if node == "" {
		node = w.any
	}
	h, ok := w.hosts[node]
	if !ok {
		return nil, fmt.Errorf("send request: %w", control.ErrUnreachable)
	}
	return control.Serve(ctx, h, verb, data), nil
}

func member(id string, up bool, apps ...string) control.Node {
	return control.Node{Member: pluginapi.Member{NodeID: id, Platform: "p", IsHealthy: up, Apps: apps}, Up: up}
}

func app(name, leader string, epoch pluginapi.Epoch, instances ...control.Instance) control.App {
	return control.App{Name: name, Mode: control.AppSingleton, Leader: leader, Epoch: epoch, Instances: instances}
}

func inst(node, role string) control.Instance {
	return control.Instance{Node: node, Role: role, Phase: "steady"}
}

func (h *host) Snapshot(_ context.Context, r control.SnapshotRequest) (control.SnapshotAnswer, error) {
	h.note("snapshot %s %s %s", r.Do, r.App, r.ID)
	return control.SnapshotAnswer{Snapshots: []control.Snapshot{{ID: "s1"}}}, h.err
}
