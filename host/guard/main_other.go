//go:build !unix

package guard

import (
	"context"
	"log/slog"
	"os"
)

// Main is the watchman. Here it only says that there is none, and returns 2.
func Main(_ context.Context, _ *os.File, _ Dial, logger *slog.Logger) int {
	if logger != nil {
		logger.Error("guard: the watchman is for linux, and in part for other unix systems")
	}
	return 2
}
