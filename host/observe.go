package host

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/host/observe"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// boundAddrs are the HTTP addresses as bound; nil before that, or when there is
// none.
type boundAddrs struct{ health, metrics atomic.Pointer[string] }

func addrOf(p *atomic.Pointer[string]) string {
	if s := p.Load(); s != nil {
		return *s
	}
	return ""
}

// HealthAddr is the health address as bound, "" if there is none.
func (n *Node) HealthAddr() string { return addrOf(&n.addrs.health) }

// MetricsAddr is the metrics address as bound, "" if there is none.
func (n *Node) MetricsAddr() string { return addrOf(&n.addrs.metrics) }

// Figures are what the node counts.
func (n *Node) Figures() *observe.Figures { return n.cfg.Figures }

// startObserve shows the node in its figures and serves the HTTP addresses. One
// that is in use is an error.
func (n *Node) startObserve(p *parts) error {
	unfollow, err := n.cfg.Figures.Follow(handler{n})
	if err != nil {
		return fmt.Errorf("show the node in its figures: %w", err)
	}
	p.onStop("figures", func() error {
		unfollow()
		return nil
	})
	for _, o := range []struct {
		setting, addr string
		handler       http.Handler
		bound         *atomic.Pointer[string]
	}{
		{"health_addr", n.cfg.HealthAddr, observe.Health(handler{n}), &n.addrs.health},
		{"metrics_addr", n.cfg.MetricsAddr, observe.Metrics(n.cfg.Figures), &n.addrs.metrics},
	} {
		if o.addr == "" {
			continue
		}
		s, err := observe.Listen(o.setting, o.addr, o.handler)
		if err != nil {
			return err
		}
		addr := s.Addr()
		o.bound.Store(&addr)
		n.log.Info("listening", "setting", o.setting, "addr", addr)
		p.start(o.setting, s.Run)
	}
	return nil
}

// Name is the node's id.
func (h handler) Name() string { return h.n.cfg.Node }

// Ready returns nil while the node's session holds and each health check that
// counts has passed last.
func (h handler) Ready() error {
	v := h.n.View()
	if v.Session != control.SessionLive || !h.n.cfg.now().Before(v.Until) {
		return errors.New("the node's session does not hold")
	}
	if failing := h.n.cfg.Checks.Failing(); len(failing) > 0 {
		return fmt.Errorf("health checks fail: %s", strings.Join(failing, ", "))
	}
	if pending := h.n.cfg.Checks.Pending(); len(pending) > 0 {
		return fmt.Errorf("health checks have not run yet: %s", strings.Join(pending, ", "))
	}
	return nil
}

// Checks are the last results of the node's health checks.
func (h handler) Checks() pluginapi.HealthStatus { return h.n.cfg.Checks.Status() }

// History are the last results of one health check.
func (h handler) History(check string) []pluginapi.CheckResult { return h.n.cfg.Checks.History(check) }
