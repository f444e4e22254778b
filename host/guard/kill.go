package guard

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Pause between two looks at what does not die at once.
const (
	firstPause = 200 * time.Microsecond
	lastPause  = 20 * time.Millisecond
)

// target is one thing to be killed, or several killed together.
type target interface {
	// strike kills what it finds and says whether nothing is left of it.
	strike() (gone bool, err error)
	// left names what still lives, for a person.
	left() string
	// close lets go of what the target holds.
	close()
}

// Kill kills everything that the fences name and returns when all of it is dead
// or the context has ended; the error then names what still lives. A control
// group is emptied, with everything below it, and its folder removed: a host
// that wakes up with the folder open cannot put a process into it any more. Of
// a mark every process is killed that was started with it; the caller itself
// never is. What is dead already, or never was, is no error: Kill may be called
// again at any time.
//
// A fence that could kill strangers is refused and the others are still killed:
// a control group must be the clean absolute path of a folder of a cgroup v2, not
// its root and not one that the caller lives in; a mark must be
// GCHOST_INSTANCE=<platform>.<node>.<app> or
// GCHOST_PLUGIN=<platform>.<node>.<plugin>. To find a mark in a process of
// another user takes CAP_SYS_PTRACE beside CAP_KILL; what may not be looked at
// does not count as alive.
//
// # Errors
//
// An error that wraps [pluginapi.ErrInvalid] for refused fences; one that wraps
// the context's error for what still lives; on systems other than Linux, with
// any fence, one that wraps [errors.ErrUnsupported].
func Kill(ctx context.Context, fences []pluginapi.Fence) error {
	var refused []error
	var accepted []pluginapi.Fence
	for _, f := range fences {
		if err := checkFence(f); err != nil {
			refused = append(refused, err)
			continue
		}
		accepted = append(accepted, f)
	}
	targets := targetsOf(accepted)
	defer func() {
		for _, t := range targets {
			t.close()
		}
	}()
	return errors.Join(errors.Join(refused...), killTargets(ctx, targets))
}

func killTargets(ctx context.Context, live []target) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		var problems []error
		var still []target
		for _, t := range live {
			gone, err := t.strike()
			if err != nil {
				problems = append(problems, err)
			}
			if !gone {
				still = append(still, t)
			}
		}
		if live = still; len(live) == 0 {
			return nil
		}
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("kill fences: still alive: %s: %w", names(live), errors.Join(err, errors.Join(problems...)))
		}
	}
}

func names(live []target) string {
	var s []string
	for _, t := range live {
		s = append(s, t.left())
	}
	return strings.Join(s, "; ")
}

// sleep waits, or returns the context's error when it ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
