package control

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// How long a host works on a request: what the asker says, within a limit.
const (
	defaultWait = 30 * time.Second
	maxWait     = 5 * time.Minute
)

// Handler is what a running host answers requests with. Its arguments have
// been checked: names are names, labels are labels.
type Handler interface {
	// Status is the platform as this node sees it.
	Status(ctx context.Context) (Status, error)
	// Nodes lists every member that this node knows.
	Nodes(ctx context.Context) ([]Node, error)
	// Cordon marks any node of the platform, this one or another, as one that
	// takes no leadership, or takes the mark away. ErrNodeNotFound if the
	// platform has never seen the node.
	Cordon(ctx context.Context, node string, on bool) error
	// Label sets and removes labels of any node of the platform and returns all
	// that it has then. To remove a label that is not there is no error.
	// ErrNodeNotFound if the platform has never seen the node, ErrInvalid if it
	// would have more than [MaxLabels].
	Label(ctx context.Context, node string, set map[string]string, remove []string) (map[string]string, error)
	// Apps describes the apps of this node: of each, one instance.
	Apps(ctx context.Context) ([]App, error)
	// StepDown gives the leadership of an app of this node to a standby and
	// returns when the standby holds it. ErrAppNotFound, ErrNotLeader,
	// ErrNoStandby.
	StepDown(ctx context.Context, app string) (StepDownResult, error)
	// Snapshot answers a question about the snapshots of an app's database, or
	// takes or deletes one. ErrAppNotFound when this node has no such database.
	Snapshot(ctx context.Context, r SnapshotRequest) (SnapshotAnswer, error)
}

// Serve answers one request: it reads it strictly, calls the handler, and
// returns the answer's bytes. Whatever comes in, an answer comes out; a panic
// of the handler becomes an error of the one who asked, so that no question
// can cost a node its leases.
func Serve(ctx context.Context, h Handler, verb string, data []byte) []byte {
	ok, err := serve(ctx, h, verb, data)
	if err == nil && len(ok) > MaxAnswer {
		err = fmt.Errorf("answer %.20q: it has %d bytes, the longest allowed is %d", verb, len(ok), MaxAnswer)
	}
	a := answer{OK: ok}
	if err != nil {
		a = answer{Error: newFault(err)}
	}
	out, err := json.Marshal(a)
	if err != nil { // cannot happen: ok was made by json, a fault is text
		return []byte(`{"error":{"code":"internal","message":"encode answer"}}`)
	}
	return out
}

func serve(ctx context.Context, h Handler, verb string, data []byte) (ok json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			ok, err = nil, fmt.Errorf("answer %s: panic: %v", verb, p)
		}
	}()
	if !slices.Contains(Verbs(), verb) && !slices.Contains(PluginVerbs(), verb) {
		return nil, fmt.Errorf("%w: unknown verb %.20q: this host knows %v", pluginapi.ErrInvalid, verb, Verbs())
	}
	if most := maxRequest(verb); len(data) > most {
		return nil, fmt.Errorf("%w: request has %d bytes: the longest allowed is %d", pluginapi.ErrInvalid, len(data), most)
	}
	var req request
	if len(data) > 0 {
		if err := decodeStrict(data, &req); err != nil {
			return nil, err
		}
	}
	wait, err := req.wait()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	doc, err := call(ctx, h, verb, req.Args)
	if err != nil {
		return nil, err
	}
	ok, err = json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("encode answer %s: %w", verb, err)
	}
	return ok, nil
}

func (r request) wait() (time.Duration, error) {
	switch {
	case r.TimeoutMS < 0:
		return 0, fmt.Errorf("%w: timeout_ms is %d: give 1 or more", pluginapi.ErrInvalid, r.TimeoutMS)
	case r.TimeoutMS == 0:
		return defaultWait, nil
	}
	return time.Duration(min(r.TimeoutMS, maxWait.Milliseconds())) * time.Millisecond, nil
}

func call(ctx context.Context, h Handler, verb string, args json.RawMessage) (any, error) {
	switch verb {
	case verbCordon:
		var a cordonArgs
		if err := readArgs(args, &a); err != nil {
			return nil, err
		}
		if err := pluginapi.CheckName("node", a.Node); err != nil {
			return nil, err
		}
		return struct{}{}, h.Cordon(ctx, a.Node, a.On)
	case verbLabel:
		var a labelArgs
		if err := readArgs(args, &a); err != nil {
			return nil, err
		}
		if err := a.check(); err != nil {
			return nil, err
		}
		return h.Label(ctx, a.Node, a.Set, a.Remove)
	case verbStepDown:
		var a appArgs
		if err := readArgs(args, &a); err != nil {
			return nil, err
		}
		if err := pluginapi.CheckName("app", a.App); err != nil {
			return nil, err
		}
		return h.StepDown(ctx, a.App)
	case verbSnapshot:
		var r SnapshotRequest
		if err := readArgs(args, &r); err != nil {
			return nil, err
		}
		if err := r.check(); err != nil {
			return nil, err
		}
		return h.Snapshot(ctx, r)
	}
	if slices.Contains(PluginVerbs(), verb) {
		return callPlugins(ctx, h, verb, args)
	}
	return plain(ctx, h, verb, args)
}

// plain calls the verbs that have no arguments.
func plain(ctx context.Context, h Handler, verb string, args json.RawMessage) (any, error) {
	if len(args) > 0 {
		return nil, fmt.Errorf("%w: %s takes no arguments", pluginapi.ErrInvalid, verb)
	}
	switch verb {
	case verbStatus:
		return h.Status(ctx)
	case verbNodes:
		return h.Nodes(ctx)
	default: // serve let only known verbs in
		return h.Apps(ctx)
	}
}

func readArgs(args json.RawMessage, into any) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: the request has no arguments", pluginapi.ErrInvalid)
	}
	return decodeStrict(args, into)
}

// check is what both ends ask of a change of labels.
func (a labelArgs) check() error {
	if err := pluginapi.CheckName("node", a.Node); err != nil {
		return err
	}
	if len(a.Set)+len(a.Remove) == 0 {
		return fmt.Errorf("%w: no label to set or to remove", pluginapi.ErrInvalid)
	}
	if len(a.Remove) > MaxLabels {
		return fmt.Errorf("%w: %d labels to remove: a node may have %d", pluginapi.ErrInvalid, len(a.Remove), MaxLabels)
	}
	if err := CheckLabels(a.Set); err != nil {
		return err
	}
	for _, key := range a.Remove {
		if err := CheckLabelKey(key); err != nil {
			return err
		}
		if _, both := a.Set[key]; both {
			return fmt.Errorf("%w: label %s is to be set and removed", pluginapi.ErrInvalid, key)
		}
	}
	return nil
}
