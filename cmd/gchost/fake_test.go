package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// platformOf makes the hosts of a platform for a scene: "healthy", or what is
// wrong with it.
func platformOf(kind string) *fakePlatform {
	p := &fakePlatform{kind: kind, labels: map[string]string{"zone": "a"}}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	node := func(id string, up bool, leads int) control.Node {
		return control.Node{
			Member:  pluginapi.Member{NodeID: id, Platform: "prod", Address: "10.0.0." + id[1:], Labels: map[string]string{"zone": "a"}, JoinedAt: at, LastSeen: at, Apps: []string{"web", "logs"}, IsHealthy: up},
			Version: "v1.2.0", Incarnation: 7, Leads: leads, LastSeenMS: 120, Up: up,
		}
	}
	p.nodes = []control.Node{node("n1", true, 1), node("n2", true, 0)}
	p.leader = "n1"
	p.status = control.Status{
		Platform: "prod", Node: "n1", Version: "v1.2.0", Incarnation: 7, Controller: "n1",
		Session: control.Session{State: "live", ValidForMS: 2900},
		NATS:    control.NATS{Mode: "embedded", URL: "nats://cli:pw@127.0.0.1:4222", Voters: 2, VotersUp: 2, RaftTuned: true, Leaders: map[string]string{"gc_records_prod": "n1"}},
	}
	switch kind {
	case "sick":
		p.nodes[1].IsHealthy, p.nodes[1].Up, p.nodes[1].LastSeenMS, p.nodes[1].Cordoned = false, false, 65_000, true
		p.nodes[0].FailingChecks = []string{"db", "disk"}
		p.status.NATS.VotersUp, p.status.Controller = 1, ""
		p.status.Warnings = []string{"two voters cannot fail over by themselves"}
		p.leader = ""
	case "hostile":
		p.nodes[0].Labels = map[string]string{"zone": "\x1b[2Ja\nb"}
	case "empty":
		p.nodes = nil
	}
	return p
}

// fakePlatform answers for all of its nodes.
type fakePlatform struct {
	kind   string
	status control.Status
	nodes  []control.Node
	leader string
	labels map[string]string
	shot   fakeShot
}

// fakeShot is what a platform says of its snapshot s1.
type fakeShot struct {
	parts  control.SnapshotAnswer
	chunks map[string][]byte // by digest
}

// dial is the dialer of a program.
func (p *fakePlatform) dial(context.Context, Config, Origins) (conversation, error) {
	if p.kind == "down" {
		return nil, fmt.Errorf("%w: nobody listens there", control.ErrUnreachable)
	}
	return p, nil
}

func (p *fakePlatform) Close() error { return nil }

func (p *fakePlatform) Request(ctx context.Context, node, verb string, data []byte) ([]byte, error) {
	if p.kind == "silent" {
		return nil, context.DeadlineExceeded
	}
	if node == "" {
		node = "n1"
	}
	return control.Serve(ctx, &fakeNode{p, node}, verb, data), nil
}

// fakeNode is one node of it.
type fakeNode struct {
	*fakePlatform
	id string
}

func (n *fakeNode) Status(context.Context) (control.Status, error) {
	s := n.status
	s.Nodes = n.nodes
	if len(n.nodes) > 0 {
		s.Apps = []control.App{{Name: "logs", Mode: "spread"}, {Name: "web", Mode: "singleton", Leader: n.leader, Epoch: 3}}
	}
	if n.kind == "two singletons" {
		s.Apps[0].Mode = "singleton"
	}
	return s, nil
}

func (n *fakeNode) Nodes(context.Context) ([]control.Node, error) { return n.nodes, nil }

func (n *fakeNode) Apps(context.Context) ([]control.App, error) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	web := control.Instance{Node: n.id, Role: "standby", Phase: "standby", Since: at}
	if n.leader == n.id {
		web.Role, web.Phase = "leader", "active"
		web.Backend = &control.Backend{Status: "running", UptimeMS: 83_000, Restarts: 1, Isolation: "cgroup"}
	}
	if n.kind == "sick" {
		web.HookError = "run hook on_passive: exit status 3"
		web.Reason = "backing off"
	}
	if n.kind == "replicated" {
		web.Database = n.database()
	}
	return []control.App{
		{Name: "web", Mode: "singleton", Leader: n.leader, Epoch: 3, Instances: []control.Instance{web}},
		{Name: "logs", Mode: "spread", Instances: []control.Instance{{Node: n.id, Role: "active", Phase: "active", Since: at}}},
	}, nil
}

// database is one that is fed by the leader; nothing is known of the other's lag.
func (n *fakeNode) database() *control.Database {
	if n.leader == n.id {
		lag := uint64(2)
		return &control.Database{Role: "leading", Epoch: 3, TX: 40, Lag: &lag, UnreadBytes: 4096, Changes: 12, Bytes: 9000}
	}
	return &control.Database{Role: "following", Follows: true, Epoch: 3, TX: 38, Changes: 11, Resyncs: 1, Error: "the disk is full",
		Aside: []string{"/srv/web.db.diverged-20260102T030405.000Z"}}
}

func (n *fakeNode) find(node string) error {
	for _, x := range n.nodes {
		if x.NodeID == node {
			return nil
		}
	}
	return fmt.Errorf("change node %s: %w", node, pluginapi.ErrNodeNotFound)
}

func (n *fakeNode) Cordon(_ context.Context, node string, _ bool) error {
	if n.kind == "bug" {
		panic("out of cheese")
	}
	return n.find(node)
}

func (n *fakeNode) Label(_ context.Context, node string, set map[string]string, remove []string) (map[string]string, error) {
	maps.Copy(n.labels, set)
	for _, k := range remove {
		delete(n.labels, k)
	}
	return n.labels, n.find(node)
}

func (n *fakeNode) StepDown(_ context.Context, app string) (control.StepDownResult, error) {
	switch n.kind {
	case "no standby":
		return control.StepDownResult{}, pluginapi.ErrNoStandby
	case "shutting down":
		return control.StepDownResult{}, pluginapi.ErrShuttingDown
	}
	return control.StepDownResult{App: app, From: n.id, To: "n2", Epoch: 4, TookMS: 31}, nil
}

// result is what a command line did.
type result struct {
	exit           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit %d\n--- stdout\n%s--- stderr\n%s", r.exit, r.stdout, r.stderr)
}

// execute runs a command line against a platform, with nothing of the machine.
func execute(ctx context.Context, platform *fakePlatform, args ...string) result {
	var stdout, stderr bytes.Buffer
	p := &program{stdout: &stdout, stderr: &stderr, machine: testMachine(), dial: platform.dial, runners: runners()}
	exit := p.run(ctx, args)
	return result{exit, stdout.String(), stderr.String()}
}

// words splits a command line; 'quotes' hold words with blanks.
func words(line string) (out []string) {
	for i, part := range strings.Split(strings.TrimSpace(line), "'") {
		if i%2 == 1 {
			out = append(out, part)
			continue
		}
		out = append(out, strings.Fields(part)...)
	}
	return out
}

// Snapshot answers as a node that has one snapshot, s1.
func (n *fakeNode) Snapshot(_ context.Context, r control.SnapshotRequest) (control.SnapshotAnswer, error) {
	if r.ID != "" && r.ID != "s1" {
		return control.SnapshotAnswer{}, fmt.Errorf("find snapshot %s: %w", r.ID, pluginapi.ErrKeyNotFound)
	}
	switch r.Do {
	case control.SnapshotParts:
		return n.shot.parts, nil
	case control.SnapshotChunk:
		return control.SnapshotAnswer{Data: n.shot.chunks[r.Digest]}, nil
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return control.SnapshotAnswer{Snapshots: []control.Snapshot{{ID: "s1", Node: n.id, Time: at, Size: 8192, Epoch: 3, TX: 38, Checksum: "00000000000000ff"}}}, nil
}
