package lock_test

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lock"
	"github.com/ozanturksever/go-cluster/host/story"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

var update = flag.Bool("update", false, "write what the machine did into the stories")

// TestStories plays every story in testdata: one machine, on node a. Run with
// -update and read the diff.
//
// A record is written as its epoch, its limit if it has one, those who hold it
// and, after "<", those who wait: 7 limit 2 b/1#5=6s < a/1#1 is epoch 7, up to 2
// at once, held by ticket 5 of incarnation 1 of node b in epoch 6, shared; ticket
// 1 of node a waits.
func TestStories(t *testing.T) {
	story.Play(t, *update, func(t *testing.T) func([]string) []string {
		a := &actor{t: t, m: lock.New(0), self: election.Holder{Node: "a", Inc: 1}}
		return a.act
	})
}

type actor struct {
	t    *testing.T
	m    *lock.Machine
	self election.Holder
}

func (a *actor) act(w []string) (out []string) {
	var in lock.Input
	switch w[0] {
	case "self":
		a.self = election.Holder{}
		if w[1] != "none" {
			a.self = a.holder(w[1])
		}
		in = lock.Look{}
	case "enter":
		e := lock.Enter{Ticket: a.num(w[1])}
		for i, word := range w[2:] {
			switch word {
			case "shared":
				e.Shared = true
			case "limit":
				e.Limit = int(a.num(w[i+3]))
			case "try":
				e.Try = true
			}
		}
		in = e
	case "leave":
		in = lock.Leave{Ticket: a.num(w[1])}
	case "stored":
		in = lock.Stored{Seq: a.num(w[1])}
	case "beaten":
		in = lock.Beaten{}
	case "seen":
		in = a.seen(w[1:])
	case "found":
		in = lock.Found{Seen: a.seen(w[1:])}
	case "maybe":
		in = lock.Found{Seen: a.seen(w[1:]), Maybe: true}
	case "over":
		in = lock.Over{Holder: a.holder(w[1])}
	case "unreadable":
		in = lock.Unreadable{Err: pluginapi.ErrInvalid}
	default:
		a.t.Fatalf("unknown step %q", w)
	}
	for _, e := range a.m.Step(a.self, in) {
		out = append(out, tell(e))
	}
	if a.m.Idle() {
		out = append(out, "  [idle]")
	}
	return out
}

func tell(e lock.Effect) string {
	switch e := e.(type) {
	case lock.Write:
		return fmt.Sprintf("write after %d: %s", e.After, show(e.Record))
	case lock.Granted:
		return fmt.Sprintf("granted #%d in epoch %d", e.Ticket, e.Epoch)
	case lock.Refused:
		return fmt.Sprintf("refused #%d: %v", e.Ticket, e.Err)
	case lock.Lost:
		return fmt.Sprintf("lost #%d", e.Ticket)
	case lock.Left:
		return fmt.Sprintf("left #%d", e.Ticket)
	}
	return "read"
}

func show(r lock.Record) string {
	out := fmt.Sprint(uint64(r.Epoch))
	if r.Limit > 0 {
		out += fmt.Sprint(" limit ", r.Limit)
	}
	claims := func(list []lock.Claim) {
		for _, c := range list {
			out += fmt.Sprintf(" %s/%d#%d", c.Node, c.Inc, c.Ticket)
			if c.Epoch > 0 {
				out += fmt.Sprintf("=%d", c.Epoch)
			}
			if c.Shared {
				out += "s"
			}
		}
	}
	claims(r.Holders)
	if len(r.Queue) > 0 {
		out += " <"
	}
	claims(r.Queue)
	return out
}

// seen reads a sequence and a record.
func (a *actor) seen(w []string) lock.Seen {
	s := lock.Seen{Seq: a.num(w[0])}
	if s.Seq == 0 {
		return s
	}
	r := &s.Record
	r.Epoch = pluginapi.Epoch(a.num(w[1]))
	w = w[2:]
	if len(w) > 1 && w[0] == "limit" {
		r.Limit, w = int(a.num(w[1])), w[2:]
	}
	list := &r.Holders
	for _, word := range w {
		if word == "<" {
			list = &r.Queue
			continue
		}
		word, shared := strings.CutSuffix(word, "s")
		word, epoch, _ := strings.Cut(word, "=")
		who, ticket, _ := strings.Cut(word, "#")
		c := lock.Claim{Holder: a.holder(who), Ticket: a.num(ticket), Shared: shared}
		if epoch != "" {
			c.Epoch = pluginapi.Epoch(a.num(epoch))
		}
		*list = append(*list, c)
	}
	if _, err := lock.Decode("x", r.Encode()); err != nil {
		a.t.Fatalf("the story has a record that nobody would write: %v", err)
	}
	return s
}

func (a *actor) holder(word string) election.Holder {
	node, inc, _ := strings.Cut(word, "/")
	return election.Holder{Node: node, Inc: a.num(inc)}
}

func (a *actor) num(word string) uint64 {
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		a.t.Fatal(err)
	}
	return n
}
