package control

import (
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Health is a verdict on a [Status].
type Health struct {
	Healthy  bool      `json:"healthy"`
	Problems []Problem `json:"problems"`
	Warnings []string  `json:"warnings,omitempty"` // what does not hurt yet
}

// Words of [Problem].Scope.
const (
	ScopeNATS     = "nats"
	ScopePlatform = "platform"
	ScopeNode     = "node"
	ScopeApp      = "app"
)

// Problem is one thing that is wrong.
type Problem struct {
	Scope string `json:"scope"`          // nats, platform, node or app
	Name  string `json:"name,omitempty"` // of the node or app
	Text  string `json:"text"`
}

// Check says what is wrong with a platform: no quorum, a stream or an app
// without a leader, no controller, a node that is down or has a failing health
// check, a session that does not hold, a service that ought to run and does not.
func Check(s Status) Health {
	h := Health{Problems: []Problem{}, Warnings: append(append([]string{}, s.Warnings...), s.NATS.Warnings...)}
	h.checkNATS(s.NATS)
	if s.Controller == "" {
		h.add(ScopePlatform, s.Platform, "no controller: nobody follows who is up")
	}
	if s.Session.State != SessionLive {
		h.add(ScopeNode, s.Node, "its session is %s", word(s.Session.State))
	}
	down := map[string]bool{}
	for _, n := range s.Nodes {
		if !n.Up {
			down[n.NodeID] = true
			h.add(ScopeNode, n.NodeID, "not up, last heard %s ago", time.Duration(n.LastSeenMS)*time.Millisecond)
			continue // what it said of itself is old
		}
		for _, check := range n.FailingChecks {
			h.add(ScopeNode, n.NodeID, "health check %s fails", check)
		}
	}
	for _, a := range s.Apps {
		h.checkApp(a, down)
	}
	h.Healthy = len(h.Problems) == 0
	return h
}

func (h *Health) checkNATS(n NATS) {
	if n.Voters > 0 && 2*n.VotersUp <= n.Voters {
		h.add(ScopeNATS, "", "no quorum: %d of %d voters are up", n.VotersUp, n.Voters)
	}
	for stream, leader := range sorted(n.Leaders) {
		if leader == "" {
			h.add(ScopeNATS, "", "stream %s has no leader", stream)
		}
	}
}

func (h *Health) checkApp(a App, down map[string]bool) {
	if a.Mode == AppSingleton && a.Leader == "" {
		h.add(ScopeApp, a.Name, "no leader")
	}
	for _, i := range a.Instances {
		if i.Role == Unknown && !down[i.Node] { // that the node is down is said already
			h.add(ScopeApp, a.Name, "instance on %s is unknown: %s", i.Node, i.Reason)
		}
		if b := i.Backend; b != nil && mustRun(i) && (b.Status == pluginapi.StatusUnhealthy || b.Status == pluginapi.StatusStopped) {
			h.add(ScopeApp, a.Name, "service on %s is %s%s", i.Node, b.Status, reason(b.Message))
		}
		h.checkDatabase(a.Name, i)
		if i.HookError != "" {
			h.Warnings = append(h.Warnings, fmt.Sprintf("app %s: a hook failed on %s: %s", a.Name, i.Node, i.HookError))
		}
	}
}

func (h *Health) add(scope, name, format string, args ...any) {
	h.Problems = append(h.Problems, Problem{scope, name, fmt.Sprintf(format, args...)})
}

func mustRun(i Instance) bool { return i.Role == RoleLeader || i.Role == RoleActive }

func word(s string) string {
	if s == "" {
		return Unknown
	}
	return s
}

func reason(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}
