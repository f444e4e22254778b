package main

import (
	"fmt"
	"time"
)

// failover is one change of the leader as it was seen from outside. All times
// are milliseconds from its beginning; a negative one was not seen.
type failover struct {
	From   string  `json:"from"`
	To     string  `json:"to"`
	Epoch  uint64  `json:"epoch"`
	Why    string  `json:"why"`       // killed, handed over, or lost
	Gone   float64 `json:"gone_ms"`   // the old service's process is dead
	Leads  float64 `json:"leads_ms"`  // the new leader holds the lease
	Active float64 `json:"active_ms"` // its service is started and ready
	Serves float64 `json:"serves_ms"` // a client has an answer from it
	Starts int     `json:"starts"`    // of the service, as its database has them: one more than before
	at     time.Time
}

// story follows one failover at a time.
type story struct {
	serving reply // who answered last
	now     failover
}

func (s *story) open() bool { return !s.now.at.IsZero() }

// begin opens the story, unless it is open: what is seen first counts.
func (s *story) begin(at time.Time, from, why string) {
	if !s.open() {
		s.now = failover{From: from, Why: why, at: at, Gone: -1, Leads: -1, Active: -1}
	} else if at.Before(s.now.at) {
		s.now.at = at
	}
}

func (s *story) since(at time.Time) float64 {
	return max(0, float64(at.Sub(s.now.at).Microseconds())/1000)
}

// take adds an event; over says that the failover is complete.
func (s *story) take(e demoEvent) (done failover, over bool) {
	switch {
	case e.kind == eventExit && e.host == s.serving.Node:
		s.begin(e.at, e.host, "killed")
		s.now.Why = "killed"
	case e.kind == eventFail && s.serving.PID != 0:
		s.begin(e.at, s.serving.Node, "lost")
	case e.kind == "leader-resigned" && e.app == demoApp:
		s.begin(e.at, e.host, "handed over")
		s.now.Why = "handed over"
	case !s.open() && e.kind != eventReply:
	case e.kind == eventGone && s.now.Gone < 0:
		s.now.Gone = s.since(e.at)
	case e.kind == "leader-acquired" && e.app == demoApp:
		s.now.Leads, s.now.To = s.since(e.at), e.host
	case e.kind == "active" && e.app == demoApp:
		s.now.Active = s.since(e.at)
	case e.kind == eventReply:
		return s.answered(e)
	}
	return failover{}, false
}

func (s *story) answered(e demoEvent) (done failover, over bool) {
	changed := *e.reply != s.serving
	s.serving = *e.reply
	if !s.open() || !changed {
		return failover{}, false
	}
	done = s.now
	done.To, done.Epoch, done.Starts, done.Serves = e.reply.Node, e.reply.Epoch, e.reply.Starts, s.since(e.at)
	s.now = failover{}
	return done, true
}

// lines tell a failover to a person.
func (f failover) lines() []string {
	out := []string{fmt.Sprintf("failover %s -> %s (%s), epoch %d", f.From, f.To, f.Why, f.Epoch)}
	for _, phase := range []struct {
		at   float64
		text string
	}{
		{f.Gone, "the old service's process is dead"},
		{f.Leads, "the new leader holds the lease"},
		{f.Active, "its service is started and ready"},
		{f.Serves, "a client has an answer from it"},
	} {
		if phase.at >= 0 {
			out = append(out, fmt.Sprintf("  %8.1f ms  %s", phase.at, phase.text))
		}
	}
	if f.Starts > 0 {
		out = append(out, fmt.Sprintf("               its database has %d starts, this one included", f.Starts))
	}
	return out
}
