package host

import (
	"context"
	"time"

	"github.com/ozanturksever/go-cluster/host/events"
)

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
	figures := n.cfg.Figures
	return events.Place{
		Space: space, Conn: n.Bus(), Node: n.cfg.Node, Replicas: n.replicas(), Limits: limits, Log: n.log.With("app", app),
		OnDrop: func(_ string, dropped int) { figures.EventsDropped(app, dropped) },
		OnDead: func(string) { figures.DeadLetter(app) },
		OnLost: func(_ string, atMost uint64) { figures.EventsExpired(app, atMost) },
	}
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
