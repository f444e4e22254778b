package cluster

import (
	"context"
	"fmt"

	"github.com/ozanturksever/go-cluster/host"
	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/events"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// PlatformEvents are the events of the platform, between all apps and nodes. A
// platform event may say which app it comes from. What [Events] says of
// subjects, guarantees and errors holds here too.
type PlatformEvents struct{ b *events.Broker }

// Events returns the events of the platform.
func (p *Platform) Events() *PlatformEvents { return &PlatformEvents{p.cfg.Events} }

// WithPlatformEventLimits bounds what is stored of the platform's durable
// events.
func WithPlatformEventLimits(l EventLimits) PlatformOption {
	return func(c *host.Config) { c.EventLimits = l }
}

// Publish sends an event of no app to the subscribers that listen at this
// moment; see [Events.Publish].
func (e *PlatformEvents) Publish(ctx context.Context, subject string, data []byte) error {
	return e.b.Publish(ctx, bus.NoApp, subject, data)
}

// PublishFrom sends an event of an app; see [Events.Publish].
func (e *PlatformEvents) PublishFrom(ctx context.Context, app, subject string, data []byte) error {
	if err := checkApp(app); err != nil {
		return err
	}
	return e.b.Publish(ctx, app, subject, data)
}

// PublishDurable stores an event of no app; see [Events.PublishDurable].
func (e *PlatformEvents) PublishDurable(ctx context.Context, subject string, data []byte, opts ...PublishOption) error {
	return e.b.Keep(ctx, bus.NoApp, subject, eventID(opts), data)
}

// PublishDurableFrom stores an event of an app; see [Events.PublishDurable].
func (e *PlatformEvents) PublishDurableFrom(ctx context.Context, app, subject string, data []byte, opts ...PublishOption) error {
	if err := checkApp(app); err != nil {
		return err
	}
	return e.b.Keep(ctx, app, subject, eventID(opts), data)
}

// Subscribe calls the handler for each event on the pattern, whichever app it
// comes from; see [Events.Listen].
func (e *PlatformEvents) Subscribe(pattern string, handler func(Event)) (*Subscription, error) {
	return e.b.Listen("*", pattern, handler)
}

// SubscribeFromApp calls the handler for each event of one app on the pattern.
func (e *PlatformEvents) SubscribeFromApp(app, pattern string, handler func(Event)) (*Subscription, error) {
	if err := checkApp(app); err != nil {
		return nil, err
	}
	return e.b.Listen(app, pattern, handler)
}

// SubscribeDurable calls the handler for each durable event on the pattern,
// whichever app it comes from; see [Events.SubscribeDurable].
func (e *PlatformEvents) SubscribeDurable(ctx context.Context, pattern, consumer string, handler EventHandler, opts ...DurableOption) (*Subscription, error) {
	return consume(ctx, e.b, "*", pattern, consumer, handler, opts)
}

// DeadLetters returns the platform's events that a consumer could not handle;
// see [Events.DeadLetters].
func (e *PlatformEvents) DeadLetters(ctx context.Context, consumer string) ([]DeadLetter, error) {
	return e.b.DeadLetters(ctx, consumer)
}

// DeleteConsumer deletes a durable consumer; see [Events.DeleteConsumer].
func (e *PlatformEvents) DeleteConsumer(ctx context.Context, consumer string) error {
	return e.b.Forget(ctx, consumer)
}

// Stop ends all subscriptions to the platform's events on this node, and returns
// when handlers that run have returned; called by a handler, it does not wait
// for that handler.
func (e *PlatformEvents) Stop() { e.b.Stop() }

// checkApp refuses what is no app, also the word for none.
func checkApp(app string) error {
	if app == bus.NoApp {
		return fmt.Errorf("%w: app name %q", ErrInvalid, app)
	}
	return pluginapi.CheckName("app", app)
}
