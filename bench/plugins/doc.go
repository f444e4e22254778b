// Package plugins measures how long a plugin takes to rank candidates: guests of
// this platform beside what others offer to a host in Go, all in the same process
// and in turns, all with the same scoring, and every answer is compared.
package plugins
