//go:build !race

package sim

// How much the tests play: some 20 s on two cores.
const (
	defaultSeeds = 480
	manyWorlds   = 40
	manyApps     = 1000
	manyNodes    = 100
)
