package core

// Sizes is how much a core remembers, for the test that it forgets.
func (c *Core) Sizes() map[string]int {
	sizes := map[string]int{
		"writes": len(c.writes), "edits": len(c.edits), "last seen": len(c.lastSeen), "why": len(c.why), "asked": len(c.asked),
		"bad": len(c.bad), "nodes": len(c.nodes), "can": len(c.can), "leads": len(c.leads), "some": len(c.some),
		"events": len(c.members.Table().Events),
	}
	for _, nodes := range c.can {
		sizes["candidates"] += len(nodes)
	}
	for _, a := range c.apps {
		sizes["waiting"] += len(a.waiting)
	}
	return sizes
}
