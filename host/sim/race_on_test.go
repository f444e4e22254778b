//go:build race

package sim

// How much the tests play with the race detector. A world is one goroutine, so
// the detector is there for what the tests do around it.
const (
	defaultSeeds = 20
	manyWorlds   = 8
	manyApps     = 100
	manyNodes    = 40
)
