package trial

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/pluginapi/plugintest"
)

// results runs checks and puts what came of them in words.
func results(ctx context.Context, checks ...plugintest.Check) (words []string, good bool) {
	good = Run(ctx, checks, func(r Result) { words = append(words, strings.Join(append([]string{r.Name}, r.Faults...), ": ")) })
	return words, good
}

func check(name string, run func(t plugintest.T)) plugintest.Check {
	return plugintest.Check{Name: name, Run: run}
}

func TestRun(t *testing.T) {
	var order []string
	note := func(s string) func() { return func() { order = append(order, s) } }
	got, good := results(t.Context(),
		check("passes", func(t plugintest.T) { t.Helper(); t.Cleanup(note("first")); t.Cleanup(note("second")) }),
		check("goes on after an error", func(t plugintest.T) { t.Errorf("one %d", 1); t.Errorf("two\n") }),
		check("ends by a fatal one", func(t plugintest.T) {
			t.Cleanup(note("after fatal"))
			t.Fatalf("over")
			note("never")()
		}),
		check("panics", func(t plugintest.T) { panic("ouch") }),
		check("fails in its cleanup", func(t plugintest.T) {
			t.Cleanup(note("the last one"))
			t.Cleanup(func() { t.Fatalf("late") })
		}),
		check("its context ends before the cleanup", func(t plugintest.T) {
			if t.Context().Err() != nil {
				t.Errorf("ended at once")
			}
			t.Cleanup(func() {
				if t.Context().Err() == nil {
					t.Errorf("lives on")
				}
			})
		}),
	)
	want := []string{
		"passes", "goes on after an error: one 1: two", "ends by a fatal one: over", "panics: the check panics: ouch",
		"fails in its cleanup: late", "its context ends before the cleanup",
	}
	if !slices.Equal(got, want) || good {
		t.Errorf("all good: %v\n%s\nwant\n%s", good, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if want := []string{"second", "first", "after fatal", "the last one"}; !slices.Equal(order, want) {
		t.Errorf("cleanups %q, want %q", order, want)
	}
}

func TestRunAllGood(t *testing.T) {
	if got, good := results(t.Context(), check("a", func(plugintest.T) {}), check("b", func(plugintest.T) {})); !good || len(got) != 2 {
		t.Errorf("%v, %q", good, got)
	}
}

// An endless row of faults is cut.
func TestRunKeepsSomeFaults(t *testing.T) {
	n := 0
	Run(t.Context(), []plugintest.Check{check("loop", func(t plugintest.T) {
		for i := range 10_000 {
			t.Errorf("%d", i)
		}
	})}, func(r Result) { n = len(r.Faults) })
	if n != maxFaults {
		t.Errorf("%d faults are kept, want %d", n, maxFaults)
	}
}

// Who interrupts the command gets its prompt back.
func TestRunInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	ran := false
	got, good := results(ctx,
		check("interrupted", func(t plugintest.T) { cancel(fmt.Errorf("ctrl-c")); <-t.Context().Done() }),
		check("not begun", func(plugintest.T) { ran = true }),
		check("not told", func(plugintest.T) { ran = true }),
	)
	if want := []string{"interrupted", "not begun: not run: ctrl-c"}; good || ran || !slices.Equal(got, want) {
		t.Errorf("good %v, ran %v, %q, want %q", good, ran, got, want)
	}
}
