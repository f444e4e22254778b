//go:build race

package lock_test

// raceEnabled says whether the race detector is on, which makes the world ten
// times as slow.
const raceEnabled = true
