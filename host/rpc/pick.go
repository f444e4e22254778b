package rpc

// load is what a client knows of the calls on their way to one instance.
type load struct {
	out     map[*waiting]struct{}
	breaker Breaker
}

// pick chooses the node for a call that any may answer: of those that may be
// tried the healthy ones first, of these the one with the fewest calls on their
// way; equals take turns. ok is false when none may be tried.
func pick(peers []Peer, out func(node string) int, ready func(node string) bool, turn uint64) (node string, ok bool) {
	best, least := -1, 0
	for i := range peers {
		k := int((turn + uint64(i)) % uint64(len(peers)))
		p := peers[k]
		if !ready(p.Node) {
			continue
		}
		n := out(p.Node)
		if best < 0 || p.Healthy && !peers[best].Healthy || p.Healthy == peers[best].Healthy && n < least {
			best, least = k, n
		}
	}
	if best < 0 {
		return "", false
	}
	return peers[best].Node, true
}
