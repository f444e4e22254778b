//go:build unix

package guard

import (
	"context"
	"log/slog"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// Descriptors of the watchman's two pipes.
const (
	fdIn  = 3 // from the host; its end is the end of the host
	fdOut = 4 // to the host
)

// Main is the watchman: call it as early as the program can, before anything
// heavy starts, and exit with what it returns. in is the pipe from the host,
// which [Guard.Run] hands over as descriptor 3; the way back is descriptor 4.
// dial makes the way to another host's server. It is called in the background,
// and neither it nor the store ever holds up the killing; with a nil dial the
// watchman only kills.
//
// Main ignores SIGINT, SIGTERM and SIGHUP for the whole process: the watchman
// ends when the host does. The end of ctx ends it at once, without acting.
//
// The result is 0 when all is done, 1 when the session could not be given back,
// 2 when there was nothing to watch.
func Main(ctx context.Context, in *os.File, dial Dial, logger *slog.Logger) int {
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	out := os.NewFile(fdOut, "guard reports")
	if in == nil || !isPipe(in) || !isPipe(out) {
		logger.Error("guard: descriptors 3 and 4 must be the pipes of a host: the host starts this command, it is not for use by hand")
		return exitUnfit
	}
	takePriority()
	return watch(ctx, in, out, dial, logger)
}

// isPipe says whether the file is a pipe, as what the host hands over must be.
func isPipe(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeNamedPipe != 0
}
