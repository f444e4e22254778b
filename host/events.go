package host

import (
	"context"
	"time"

	"github.com/ozanturksever/go-cluster/host/events"
)

// Counters are told what happens, to be counted; nil ones are not. They must
// return at once.
type Counters struct {
	EventDropped func(app, subject string, n int)     // a live event that a slow handler has missed; app "" is the platform
	DeadLetter   func(app, consumer string)           // an event that a consumer could not handle
	EventsLost   func(app, consumer string, n uint64) // kept events, at most so many, that the limits have dropped before a consumer read them
	AuditDropped func(n int)                          // audit entries of the platform that could not be written
}

// handlersEnd bounds the wait for handlers of events when the node stops: their
// contexts have ended.
const handlersEnd = 10 * time.Second

// serveEvents attaches the brokers of events; stop ends their subscriptions.
func (n *Node) serveEvents(context.Context) (stop func(), err error) {
	stop = n.endEvents
	if b := n.cfg.Events; b != nil {
		if err := b.Attach(n.eventPlace("", events.PlatformSpace(n.names), n.cfg.EventLimits)); err != nil {
			return stop, err
		}
	}
	for _, a := range n.cfg.Apps {
		if a.Events == nil {
			continue
		}
		names, err := n.names.App(a.Name)
		if err == nil {
			err = a.Events.Attach(n.eventPlace(a.Name, events.AppSpace(names), a.EventLimits))
		}
		if err != nil {
			return stop, err
		}
	}
	return stop, nil
}

func (n *Node) eventPlace(app string, space events.Space, limits events.Limits) events.Place {
	p := events.Place{Space: space, Conn: n.Bus(), Node: n.cfg.Node, Replicas: n.replicas(), Limits: limits, Log: n.log.With("app", app)}
	count := n.cfg.Count
	if count.EventDropped != nil {
		p.OnDrop = func(subject string, dropped int) { count.EventDropped(app, subject, dropped) }
	}
	if count.DeadLetter != nil {
		p.OnDead = func(consumer string) { count.DeadLetter(app, consumer) }
	}
	if count.EventsLost != nil {
		p.OnLost = func(consumer string, atMost uint64) { count.EventsLost(app, consumer, atMost) }
	}
	return p
}

// endEvents ends every subscription, and what comes later is refused.
func (n *Node) endEvents() {
	ctx, cancel := context.WithTimeout(context.Background(), handlersEnd)
	defer cancel()
	brokers := map[string]*events.Broker{"": n.cfg.Events}
	for _, a := range n.cfg.Apps {
		brokers[a.Name] = a.Events
	}
	for app, b := range brokers {
		if b == nil {
			continue
		}
		if err := b.Close(ctx); err != nil {
			n.log.Error("stop events", "app", app, "err", err)
		}
	}
}
