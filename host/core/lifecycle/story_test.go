package lifecycle_test

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/lifecycle"
	"github.com/ozanturksever/go-cluster/host/story"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

var update = flag.Bool("update", false, "write what the machine did into the stories")

// TestStories plays every story in testdata. Run with -update and read the diff.
func TestStories(t *testing.T) {
	story.Play(t, *update, func(t *testing.T) func([]string) []string { return (&actor{t: t, now: start}).act })
}

// actor is the machine of one story.
type actor struct {
	t   *testing.T
	now time.Time
	m   *lifecycle.Machine
	id  uint64 // of the step that runs
}

var start = time.Unix(1000, 0)

func (a *actor) act(w []string) []string {
	rest := func(i int) string { return strings.Join(w[i:], " ") }
	switch w[0] {
	case "app":
		a.m = lifecycle.New(specOf(w[1:]))
		return nil
	case "wait":
		a.now = a.now.Add(a.ms(w[1]))
		return nil
	case "tick":
		return a.step(lifecycle.Tick{})
	case "lead":
		n, err := strconv.ParseUint(w[1], 10, 64)
		if err != nil {
			a.t.Fatal(err)
		}
		return a.step(lifecycle.Lead{Epoch: pluginapi.Epoch(n)})
	case "cease":
		return a.step(lifecycle.Cease{Reason: rest(1)})
	case "cease-within":
		return a.step(lifecycle.Cease{Reason: rest(2), By: a.now.Add(a.ms(w[1]))})
	case "hurry":
		return a.step(lifecycle.Hurry{By: a.now.Add(a.ms(w[1]))})
	case "fail":
		return a.step(lifecycle.Fail{Reason: rest(1)})
	case "finish":
		return a.step(lifecycle.Finish{})
	case "done":
		return a.step(lifecycle.StepDone{ID: a.id, Err: rest(1)})
	case "late":
		return a.step(lifecycle.StepDone{ID: a.id - 1, Err: rest(1)})
	}
	a.t.Fatalf("unknown step %q", w)
	return nil
}

func (a *actor) ms(s string) time.Duration {
	n, err := strconv.Atoi(s)
	if err != nil {
		a.t.Fatal(err)
	}
	return time.Duration(n) * time.Millisecond
}

// specOf reads: singleton, durable, data, backend, active, passive, start, stop.
func specOf(words []string) lifecycle.Spec {
	s := lifecycle.Spec{
		Hooks: map[lifecycle.Step]bool{}, HookTimeout: 5 * time.Second, StartTimeout: 20 * time.Second, StopTimeout: 10 * time.Second, DataTimeout: 8 * time.Second,
	}
	for _, w := range words {
		switch w {
		case "singleton":
			s.Singleton = true
		case "durable":
			s.Durable = true
		case "data":
			s.Data = true
		case "backend":
			s.Backend = true
		case "active":
			s.Hooks[lifecycle.CallActive] = true
		case "passive":
			s.Hooks[lifecycle.CallPassive] = true
		case "start":
			s.Hooks[lifecycle.CallStart] = true
		case "stop":
			s.Hooks[lifecycle.CallStop] = true
		}
	}
	return s
}

func (a *actor) step(in lifecycle.Input) []string {
	var out []string
	for _, e := range a.m.Step(a.now, in) {
		switch e := e.(type) {
		case lifecycle.Run:
			a.id = e.ID
			out = append(out, fmt.Sprintf("run %v in epoch %d, within %v", e.Step, e.Epoch, e.Timeout))
		case lifecycle.Cancel:
			out = append(out, "cancel")
		case lifecycle.BecameActive:
			out = append(out, fmt.Sprintf("became active in epoch %d", e.Epoch))
		case lifecycle.BecamePassive:
			out = append(out, fmt.Sprintf("became passive: %s, failed: %v", e.Reason, e.Failed))
		case lifecycle.Overrun:
			out = append(out, fmt.Sprintf("OVERRUN in %v", e.Step))
		case lifecycle.Ended:
			out = append(out, "ended")
		}
	}
	state := fmt.Sprintf("  [%v %v", a.now.Sub(start), a.m.Phase())
	if n := a.m.Next(); !n.IsZero() {
		state += fmt.Sprintf(", alarm %v", n.Sub(start))
	}
	if e := a.m.LastError(); e != "" {
		state += ", last error: " + e
	}
	return append(out, state+"]")
}
