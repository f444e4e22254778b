package embedded

import (
	"context"
	"time"
)

// RunAndHandOver is [Server.Run], but when ctx ends it first hands over what
// the server leads, for at most the given time, so that nobody has to wait for
// an election.
func (s *Server) RunAndHandOver(ctx context.Context, atMost time.Duration) error {
	runCtx, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(runCtx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	stepCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), atMost)
	defer cancel()
	if err := s.StepDown(stepCtx); err != nil {
		s.log.Debug("hand over raft leaderships", "err", err)
	}
	end()
	return <-ended
}
