package failure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Outcome is what an error does in the end.
type Outcome string

// The outcomes.
const (
	Ignore   Outcome = "ignore"   // it is told to people; the host goes on
	Fail     Outcome = "fail"     // it is an error of what the plugin was called for
	Fallback Outcome = "fallback" // what is built in does it instead
)

// Bounds of a [Rule].
const (
	MaxRetries = 100
	MaxWait    = time.Hour
)

// Rule says what an error of a plugin does.
type Rule struct {
	Retries int           // how many times more it is called; 0: it is not
	Wait    time.Duration // before the first of them; each later wait is twice the one before
	MaxWait time.Duration // the longest wait; 0: Wait, or a minute if that is more
	Then    Outcome
}

// Check says whether the rule makes sense.
//
// # Errors
//
// One that wraps ErrInvalid and says which number or word is wrong, and what is
// allowed.
func (r Rule) Check() error {
	switch {
	case r.Retries < 0 || r.Retries > MaxRetries:
		return fmt.Errorf("%w: failure rule: %d retries: give 0 to %d", pluginapi.ErrInvalid, r.Retries, MaxRetries)
	case r.Wait < 0 || r.Wait > MaxWait || r.MaxWait < 0 || r.MaxWait > MaxWait:
		return fmt.Errorf("%w: failure rule: waits of %v to %v: give 0 to %v", pluginapi.ErrInvalid, r.Wait, r.MaxWait, MaxWait)
	case r.Then != Ignore && r.Then != Fail && r.Then != Fallback:
		return fmt.Errorf("%w: failure rule: outcome %.40q: give %s, %s or %s", pluginapi.ErrInvalid, r.Then, Ignore, Fail, Fallback)
	}
	return nil
}

// Decision is what to do after an error.
type Decision struct {
	Again bool
	Wait  time.Duration // before the next call, when Again
	Then  Outcome       // when not Again
}

// After decides what to do when the n-th call (1 is the first) has ended with an
// error.
func (r Rule) After(n int, err error) Decision {
	if n > r.Retries || !MayHelp(err) {
		return Decision{Then: r.Then}
	}
	return Decision{Again: true, Wait: r.pause(n)}
}

func (r Rule) pause(n int) time.Duration {
	longest := r.MaxWait
	if longest == 0 {
		longest = max(r.Wait, time.Minute)
	}
	wait := r.Wait
	for range n - 1 {
		if wait >= longest {
			break
		}
		wait *= 2
	}
	return min(wait, longest)
}

// MayHelp says whether calling again may end better. It may, but for the answers
// that are a decision and not a mishap; and for those too when the plugin says
// so.
func MayHelp(err error) bool {
	var told *wire.Error
	if errors.As(err, &told) && told.Retry {
		return true
	}
	for _, final := range []error{
		pluginapi.ErrRejected, pluginapi.ErrInvalid, pluginapi.ErrNoMethod, pluginapi.ErrTooLarge,
		pluginapi.ErrNotGranted, pluginapi.ErrUnauthorized, pluginapi.ErrFenced, pluginapi.ErrNotLeader,
		pluginapi.ErrPluginNotFound, pluginapi.ErrPluginDisabled, pluginapi.ErrShuttingDown, context.Canceled,
	} {
		if errors.Is(err, final) {
			return false
		}
	}
	return true
}

// IsFault says whether an error is the fault of the plugin, which counts for its
// circuit, and not an answer of it.
func IsFault(err error) bool {
	return errors.Is(err, pluginapi.ErrPluginCrashed) || errors.Is(err, pluginapi.ErrPluginLimit) ||
		errors.Is(err, pluginapi.ErrPluginProtocol)
}

// ForPlacement is the rule of a policy: what is built in ranks instead, at once.
// A failover waits for the ranking, and a second call has no better chance than
// the first within the same 500 ms.
func ForPlacement() Rule { return Rule{Then: Fallback} }

// ForHook is the default rule for a kind of event.
//
//   - active, start, own: two more calls, then the transition fails, and another
//     node gets its chance. The hook may have to do what the service needs; a
//     service that runs without it is worse than one that runs elsewhere.
//   - passive, stop, release: no more calls, and the error is ignored. A node that
//     gives something away must not hold on to it because a plugin is broken.
//   - migration_start: one more call, then the migration does not begin: nobody
//     can say that there was no veto, and the app runs well where it is.
//   - all others tell what has happened already: five more calls, over about half
//     a minute, then the error is ignored.
func ForHook(kind pluginapi.HookKind) Rule {
	switch kind {
	case pluginapi.HookActive, pluginapi.HookStart, pluginapi.HookOwn:
		return Rule{Retries: 2, Wait: 200 * time.Millisecond, MaxWait: time.Second, Then: Fail}
	case pluginapi.HookPassive, pluginapi.HookStop, pluginapi.HookRelease:
		return Rule{Then: Ignore}
	case pluginapi.HookMigrationStart:
		return Rule{Retries: 1, Wait: 200 * time.Millisecond, Then: Fail}
	}
	return Rule{Retries: 5, Wait: time.Second, MaxWait: 30 * time.Second, Then: Ignore}
}
