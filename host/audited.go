package host

import (
	"context"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/host/audit"
	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/core"
	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
	"github.com/ozanturksever/go-cluster/host/core/membership"
)

// auditEnd bounds the writing of the last entries when the node stops.
const auditEnd = time.Second

// newAudit makes the audit log; what is put before the node is connected waits.
func (n *Node) newAudit() *audit.Log {
	return audit.New(audit.Config{
		Names: n.names, Node: n.cfg.Node, Logger: n.log, OnDrop: n.cfg.Figures.AuditDropped,
		Conn: func() (*bus.Conn, int, error) {
			c, err := n.Conn()
			if err != nil {
				return nil, 0, err
			}
			return c, n.replicas(), nil
		},
	})
}

// serveAudit writes what the platform itself has to say; stop writes what is
// left of it.
func (n *Node) serveAudit(context.Context) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.audit.Run(ctx, auditEnd)
	}()
	return func() { cancel(); <-done }, nil
}

// Audit returns the platform's audit log.
func (n *Node) Audit() *audit.Log { return n.audit }

// put writes an entry later; see [audit.Log.Put].
func (n *Node) put(category, action string, data map[string]any, id string) {
	n.audit.Put(audit.Entry{Category: category, Action: action, Data: data}, id)
}

// auditEffect writes what the core tells. What concerns the whole platform is
// written by one node: the one whose deed it is, or the controller.
func (n *Node) auditEffect(e core.Effect) {
	switch e := e.(type) {
	case core.Note:
		n.auditNote(e)
	case core.LeaderChanged:
		if e.Leader == n.cfg.Node {
			n.put("election", "leader_changed", map[string]any{"app": e.App, "leader": e.Leader, "epoch": e.Epoch},
				fmt.Sprintf("leader_changed.%s.%d", e.App, e.Epoch))
		}
	case core.MemberLeft:
		if n.View().Controller == n.cfg.Node {
			n.put("membership", "member_left", map[string]any{"node": e.Member.NodeID, "reason": clipped(e.Reason)},
				fmt.Sprintf("member_left.%s.%d", e.Member.NodeID, e.Member.JoinedAt.UnixNano()))
		}
	}
}

// audited names the notes that are written, as category and action.
var audited = map[string][2]string{
	"leader-acquired": {"election", "leader_acquired"},
	"leader-lost":     {"election", "leader_lost"},
	"leader-resigned": {"election", "leader_released"},
	"active":          {"app", "started"},
	"stopped":         {"app", "stopped"},
}

func (n *Node) auditNote(e core.Note) {
	if name, ok := audited[e.Kind]; ok {
		data := map[string]any{"app": e.App}
		if e.Text != "" {
			data["detail"] = e.Text
		}
		n.put(name[0], name[1], data, "")
	}
	switch e.Kind {
	case "session-joined":
		n.put("membership", "member_joined", map[string]any{"node": n.cfg.Node, "detail": e.Text}, "")
	case "shutting-down":
		for app := range n.apps {
			n.put("app", "stopping", map[string]any{"app": app}, "")
		}
	}
}

// auditStep writes that a step of a backend begins.
func (n *Node) auditStep(app string, e core.Run) {
	switch e.Step {
	case lifecycle.StartBackend:
		n.put("backend", "starting", map[string]any{"app": app, "epoch": e.Epoch}, "")
	case lifecycle.StopBackend:
		n.put("backend", "stopping", map[string]any{"app": app, "epoch": e.Epoch}, "")
	}
}

// outcomes names what is written when a step has ended well, and when it has
// not; "" is nothing.
var outcomes = map[lifecycle.Step][3]string{
	lifecycle.Promote:      {"data", "promoted", "promote_failed"},
	lifecycle.Demote:       {"data", "demoted", "demote_failed"},
	lifecycle.StartBackend: {"backend", "started", "start_failed"},
	lifecycle.StopBackend:  {"backend", "stopped", "stop_error"},
	lifecycle.KillBackend:  {"backend", "stopped", "stop_error"},
	lifecycle.CallActive:   {"app", "", "onActive_error"},
	lifecycle.CallPassive:  {"app", "", "onPassive_error"},
	lifecycle.CallStart:    {"app", "", "onStart_error"},
	lifecycle.CallStop:     {"app", "", "onStop_error"},
}

// auditStepped writes how a step has ended.
func (n *Node) auditStepped(app string, e core.Run, err error) {
	o, ok := outcomes[e.Step]
	data := map[string]any{"app": app, "epoch": e.Epoch}
	action := o[1]
	if err != nil {
		action, data["error"] = o[2], clipped(err.Error())
	}
	if ok && action != "" {
		n.put(o[0], action, data, "")
	}
}

// maxDetail is the longest text of others in an entry, in bytes.
const maxDetail = 2048

func clipped(text string) string {
	if len(text) > maxDetail {
		return text[:maxDetail] + "..."
	}
	return text
}

// auditStepDown writes that somebody wants this node to give an app away.
func (n *Node) auditStepDown(app string) {
	if _, ok := n.View().Apps[app]; ok {
		n.put("election", "step_down_initiated", map[string]any{"app": app}, "")
	}
}

// auditEdit writes what this node has changed about a node.
func (n *Node) auditEdit(node string, e membership.Edit, r core.Reply) {
	if e.Cordon != nil {
		action := "node.uncordoned"
		if *e.Cordon {
			action = "node.cordoned"
		}
		n.put("placement", action, map[string]any{"node": node}, "")
	}
	if len(e.Set)+len(e.Remove) > 0 {
		n.put("placement", "node.labels.updated", map[string]any{"node": node, "set": e.Set, "removed": e.Remove, "labels": r.Labels}, "")
	}
}
