package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// serverLog hands the server's lines to slog. Its notices go to debug: a
// healthy server at rest says nothing. Its fatal errors are not logged here:
// Run returns the first one.
type serverLog struct {
	log   *slog.Logger
	fatal chan error // holds one
}

func newServerLog(log *slog.Logger) *serverLog {
	return &serverLog{log: log, fatal: make(chan error, 1)}
}

func (l *serverLog) Noticef(format string, v ...any) {
	l.log.Debug("nats: " + fmt.Sprintf(format, v...))
}

func (l *serverLog) Warnf(format string, v ...any) {
	l.say(slog.LevelWarn, fmt.Sprintf(format, v...))
}

func (l *serverLog) Errorf(format string, v ...any) {
	l.say(slog.LevelError, fmt.Sprintf(format, v...))
}

func (l *serverLog) say(level slog.Level, line string) {
	if usual(line) {
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, "nats: "+line)
}

// usual reports whether the server warns of what belongs to every start of a
// cluster, or of a lost peer, which the peer mesh tells better.
func usual(line string) bool {
	for _, part := range []string{
		"trying to connect to route",
		"Waiting for routing to be established",
		"has not established contact with a meta leader",
		"Metalayer blocking snapshot",
		"for remote subject \"_INBOX_", // of a guard or a command that is connected to another server: its answers are routed there
	} {
		if strings.Contains(line, part) {
			return true
		}
	}
	return false
}

func (l *serverLog) Debugf(string, ...any) {}
func (l *serverLog) Tracef(string, ...any) {}

func (l *serverLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Errorf(format, v...):
	default: // the first one is the cause
	}
}
