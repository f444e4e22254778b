package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	cluster "github.com/ozanturksever/go-cluster"
)

// TestControllerAndWatchersCut: the controller and both nodes that watch with it
// lose their links in the same moment. The one that is left has no session
// delivered while it hears the controller; it finds out by itself, and leads.
func TestControllerAndWatchersCut(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	var links []*proxy
	var nodes []*node
	ids := []string{"n1", "n2", "n3", "n4"}
	for i, id := range ids { // in this order: the first is the controller, the two after it watch
		link := startProxy(t, s)
		n := newNode(t, "watchers", id, link.url(), cluster.WithLeaseTTL(2*time.Second))
		n.app(cluster.NewApp("web"))
		nodes, links = append(nodes, n.start()), append(links, link)
		n.knows(ids[:i+1]...)
	}
	last := nodes[3]
	eventually(t, "the last node watches nobody", func() bool { return sessionWatches(t, s, "n4") == 0 })
	for _, n := range nodes[:3] {
		if sessionWatches(t, s, n.NodeID()) != 1 {
			t.Errorf("%s does not watch everybody", n.NodeID())
		}
	}
	for _, l := range links[:3] {
		l.cut()
	}
	last.knows("n4")
	last.leads("web")
	for _, l := range links[:3] {
		l.heal()
	}
	for _, n := range nodes {
		n.knows(ids...)
	}
	leaderOf(t, "web", nodes...)
}

// sessionWatches is how many subscriptions to sessions a node of the platform
// "watchers" has.
func sessionWatches(t *testing.T, s *server.Server, id string) (n int) {
	t.Helper()
	c, err := s.Connz(&server.ConnzOptions{Subscriptions: true})
	must(t, err)
	for _, conn := range c.Conns {
		for _, subject := range conn.Subs {
			if conn.Name == "gchost watchers/"+id && strings.HasPrefix(subject, "gc.watchers.ws.") {
				n++
			}
		}
	}
	return n
}
