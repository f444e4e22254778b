package cluster

import (
	"context"
	"fmt"

	"github.com/ozanturksever/go-cluster/host/core/membership"
)

// Membership is who belongs to the platform, as this node knows it.
type Membership struct{ p *Platform }

// Members returns the living nodes, sorted by id. It is empty before the node
// has joined.
func (m *Membership) Members() []Member {
	n := m.p.host()
	if n == nil {
		return nil
	}
	var out []Member
	for _, v := range n.View().Members {
		out = append(out, v.Member)
	}
	return out
}

// Member returns one living node.
//
// # Errors
//
// ErrNodeNotFound.
func (m *Membership) Member(nodeID string) (Member, error) {
	for _, v := range m.Members() {
		if v.NodeID == nodeID {
			return v, nil
		}
	}
	return Member{}, fmt.Errorf("find member %.70q: %w", nodeID, ErrNodeNotFound)
}

// CordonNode marks a node as one that takes no new leadership. What it leads it
// goes on leading. The mark is kept on the platform and outlives restarts. It
// returns at once; see [Platform.SetCordon] to learn of the outcome.
func (p *Platform) CordonNode(nodeID string) { p.wishCordon(nodeID, true) }

// UncordonNode takes the mark of [Platform.CordonNode] away.
func (p *Platform) UncordonNode(nodeID string) { p.wishCordon(nodeID, false) }

// SetCordon marks a node as one that takes no new leadership, or takes the mark
// away, and returns when that is stored.
//
// # Errors
//
// As of [Platform.UpdateNodeLabels].
func (p *Platform) SetCordon(ctx context.Context, nodeID string, on bool) error {
	return p.edit(ctx, nodeID, membership.Edit{Cordon: &on})
}

// wishCordon asks for the mark and does not wait.
func (p *Platform) wishCordon(nodeID string, on bool) {
	if n := p.host(); n != nil {
		n.Wish(nodeID, membership.Edit{Cordon: &on})
	}
}
