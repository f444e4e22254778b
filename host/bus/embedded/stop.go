package embedded

import (
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Times of a stop.
const (
	stopPatience = 2 * time.Second  // for a stop that nothing holds up
	stopBound    = 10 * time.Second // for one that had to be helped
)

var errStillRuns = errors.New("the server does not end: only the end of the process ends it")

// stopServer shuts a server down and waits for its end.
//
// A stream that catches up waits, while its server is stopped, for messages of
// a leader that may have gone at the same time: 10 s, one stream after the
// other. What ends such a wait is the end of the stream's Raft node, which is
// due in any case.
//
// # Errors
//
// errStillRuns, when that did not help.
func stopServer(srv *server.Server, log *slog.Logger) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		srv.Shutdown()
		srv.WaitForShutdown()
	}()
	if endsWithin(ended, stopPatience) {
		return nil
	}
	log.Debug("the embedded server takes long to stop: ending its raft nodes")
	for g := range raftGroups(srv) {
		g.node.Stop()
	}
	if endsWithin(ended, stopBound) {
		return nil
	}
	return errStillRuns
}

func endsWithin(ended <-chan struct{}, d time.Duration) bool {
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-ended:
		return true
	case <-late.C:
		return false
	}
}
