// Package monitor runs the health checks of a node. When each is run, and what
// its results mean, is decided by package host/core/health.
//
//	Register ... -> machine -> Start -> the check's code, a goroutine each -> Ended -> machine -> told
//
// A check that panics fails. One that does not return holds up nothing but
// itself: it is not started again until it has returned, and Run does not wait
// for it longer than a moment.
package monitor
