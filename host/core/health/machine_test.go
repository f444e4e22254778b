package health_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/health"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

func TestInterval(t *testing.T) {
	r := newRig(t, health.Check{Name: "a"})
	if p := r.m.Pending(); !slices.Equal(p, []string{"a"}) {
		t.Errorf("pending: %v", p)
	}
	r.tick(0)
	r.now = r.now.Add(3 * time.Second)
	r.end("a", "")
	if got := r.m.Status(r.now).Checks["a"]; got.LatencyMS != 3000 || !got.Timestamp.Equal(r.now) || len(r.m.Pending()) > 0 {
		t.Errorf("%+v, pending %v", got, r.m.Pending())
	}
	r.tick(6 * time.Second)
	if r.count("a") != 1 {
		t.Error("started before its time")
	}
	r.tick(time.Second)
	if r.count("a") != 2 {
		t.Error("the interval is from start to start")
	}
}

// TestCircuit: three failures open it, its turns are 2, 4, 8, 8 intervals apart,
// and one that passes closes it.
func TestCircuit(t *testing.T) {
	r := newRig(t, health.Check{Name: "a", Interval: time.Second, Timeout: time.Second})
	for i := range 3 {
		r.want("a", [...]string{"skipped", "failing", "failing"}[i], i, false)
		r.tick(0)
		r.end("a", "no")
		if i < 2 {
			r.tick(time.Second)
		}
	}
	r.want("a", "failing", 3, true)
	for _, wait := range []time.Duration{2, 4, 8, 8} {
		before := r.count("a")
		r.tick(wait*time.Second - 1)
		if r.count("a") != before {
			t.Errorf("tried before %d intervals", wait)
		}
		r.tick(1)
		if r.count("a") != before+1 {
			t.Fatalf("not tried after %d intervals", wait)
		}
		r.end("a", "no")
	}
	r.want("a", "failing", 7, true)
	r.tick(8 * time.Second)
	r.end("a", "")
	r.want("a", "passing", 0, false)
	if !slices.Equal(r.changes, []string{"failing", "passing"}) {
		t.Errorf("changes: %v", r.changes)
	}
}

func TestReset(t *testing.T) {
	r := newRig(t, health.Check{Name: "a"})
	for range 3 {
		r.turn("a")
		r.end("a", "no")
	}
	r.want("a", "failing", 3, true)
	if err := r.m.Reset("a"); err != nil {
		t.Fatal(err)
	}
	r.want("a", "failing", 0, false)
	r.tick(0)
	r.end("a", "")
	r.want("a", "passing", 0, false)
}

// TestLate: a check that does not return fails at its timeout and at each turn
// after that; it is not started again before it has returned, and what it then
// says comes too late.
func TestLate(t *testing.T) {
	r := newRig(t, health.Check{Name: "a"})
	r.tick(5*time.Second - 1)
	r.want("a", "skipped", 0, false)
	r.tick(1)
	r.want("a", "failing", 1, false)
	r.tick(5 * time.Second)
	r.want("a", "failing", 2, false)
	r.tick(time.Hour)
	if r.count("a") != 1 {
		t.Fatalf("started %d times", r.count("a"))
	}
	r.end("a", "")
	if s := r.m.Status(r.now).Checks["a"]; s.Status != "failing" || !strings.Contains(s.Error, "has not returned for") {
		t.Errorf("%+v", s)
	}
	r.turn("a")
	r.end("a", "")
	r.want("a", "passing", 0, false)
}

// TestDependency: what depends on a failing check is skipped at once, itself and
// what depends on it, and has its turn when the other passes again.
func TestDependency(t *testing.T) {
	r := newRig(t, health.Check{Name: "db"}, health.Check{Name: "api", DependsOn: []string{"db"}}, health.Check{Name: "web", DependsOn: []string{"api", "db"}})
	r.tick(0)
	if !slices.Equal(r.starts, []string{"db"}) {
		t.Fatalf("started: %v", r.starts)
	}
	r.end("db", "")
	r.end("api", "")
	r.end("web", "")
	if !slices.Equal(r.starts, []string{"db", "api", "web"}) {
		t.Fatalf("started: %v", r.starts)
	}
	r.tick(10 * time.Second)
	r.end("db", "no")
	r.want("db", "failing", 1, false)
	r.want("api", "skipped", 0, false)
	r.want("web", "skipped", 0, false)
	if s := r.m.Status(r.now); s.Checks["web"].Error != "it depends on api, which does not pass" || s.Status != "failing" || !slices.Equal(r.m.Failing(), []string{"db"}) {
		t.Errorf("%+v", s)
	}
	r.tick(10 * time.Second)
	r.end("db", "")
	r.end("api", "")
	r.end("web", "no")
	r.want("web", "failing", 1, false)
	if r.count("api") != 2 {
		t.Errorf("api ran %d times", r.count("api"))
	}
}

// TestRound: a round ends when each check has a result that is not older than
// the round, except of those that are late or have an open circuit.
func TestRound(t *testing.T) {
	r := newRig(t, health.Check{Name: "late"}, health.Check{Name: "open"}, health.Check{Name: "a"}, health.Check{Name: "b", DependsOn: []string{"a"}})
	r.tick(0)
	r.end("open", "no")
	r.end("a", "")
	r.end("b", "")
	for range 2 {
		r.tick(10 * time.Second)
		r.end("open", "no")
		r.end("a", "")
		r.end("b", "")
	}
	r.starts = nil
	r.step(health.RunNow{ID: 7})
	if !slices.Equal(r.starts, []string{"a"}) || len(r.rounds) > 0 {
		t.Fatalf("started %v, done %v", r.starts, r.rounds)
	}
	r.end("a", "")
	r.end("b", "")
	if !slices.Equal(r.rounds, []uint64{7}) || r.count("b") != 1 {
		t.Errorf("started %v, done %v", r.starts, r.rounds)
	}
	r.step(health.RunNow{ID: 8})
	r.step(health.Forget{ID: 8})
	r.end("a", "")
	r.end("b", "")
	if len(r.rounds) != 1 {
		t.Errorf("a round that was forgotten is answered: %v", r.rounds)
	}
}

func TestAdvisoryCountsForNothing(t *testing.T) {
	r := newRig(t, health.Check{Name: "a", Advisory: true})
	r.tick(0)
	r.end("a", "no")
	r.want("a", "failing", 1, false)
	if s := r.m.Status(r.now); s.Status != "passing" || !s.Checks["a"].Advisory || len(r.changes)+len(r.m.Failing())+len(r.m.Pending()) > 0 {
		t.Errorf("%+v, told %v", s, r.changes)
	}
}

func TestUnregister(t *testing.T) {
	r := newRig(t, health.Check{Name: "a"}, health.Check{Name: "b", DependsOn: []string{"a"}})
	if err := r.m.Unregister("a"); !errors.Is(err, pluginapi.ErrInvalid) || !strings.Contains(err.Error(), "b depends on a") {
		t.Errorf("%v", err)
	}
	r.tick(0)
	r.end("a", "no")
	old := r.m.Unregister("b")
	old = errors.Join(old, r.m.Unregister("a"))
	if old != nil {
		t.Fatal(old)
	}
	r.step(health.Tick{})
	if !slices.Equal(r.changes, []string{"failing", "passing"}) || len(r.m.Status(r.now).Checks) > 0 || r.m.History("a") != nil {
		t.Errorf("changes %v, status %+v", r.changes, r.m.Status(r.now))
	}
	if _, ok := r.m.Next(); ok {
		t.Error("something is due")
	}
}

func TestHistory(t *testing.T) {
	r := newRig(t, health.Check{Name: "a"})
	for i := range 13 {
		r.turn("a")
		r.end("a", [...]string{"", "no " + fmt.Sprint(i)}[i%2])
	}
	h := r.m.History("a")
	if len(h) != 10 || h[0].Error != "no 3" || h[9].Status != "passing" {
		t.Errorf("%+v", h)
	}
	h[0].Error = "changed"
	if r.m.History("a")[0].Error != "no 3" {
		t.Error("the history is shared")
	}
}

func TestLongError(t *testing.T) {
	r := newRig(t, health.Check{Name: "a"})
	r.tick(0)
	r.end("a", strings.Repeat("ä", 1000)+"\xff")
	if e := r.m.Status(r.now).Checks["a"].Error; len(e) > 512 || e != strings.ToValidUTF8(e, "") {
		t.Errorf("%d bytes", len(e))
	}
}

func TestBadChecks(t *testing.T) {
	r := newRig(t, health.Check{Name: "a"}, health.Check{Name: "adv", Advisory: true})
	for _, c := range []struct {
		check health.Check
		want  []string
	}{
		{health.Check{}, []string{"health check name is empty"}},
		{health.Check{Name: "a b"}, []string{"' ' at byte 1"}},
		{health.Check{Name: strings.Repeat("x", 10_000)}, []string{"10000 bytes"}},
		{health.Check{Name: "a"}, []string{"registered already"}},
		{health.Check{Name: "b", Interval: -1, Timeout: -1}, []string{"its interval is -1ns: give 10ms to 24h0m0s", "its timeout is -1ns"}},
		{health.Check{Name: "b", Interval: time.Millisecond, Timeout: 25 * time.Hour}, []string{"its interval is 1ms", "its timeout is 25h"}},
		{health.Check{Name: "b", DependsOn: []string{"b"}}, []string{"depends on itself"}},
		{health.Check{Name: "b", DependsOn: []string{"c", ""}}, []string{`depends on "c", which is not registered`, `depends on ""`}},
		{health.Check{Name: "b", DependsOn: []string{"adv"}}, []string{"which is advisory"}},
	} {
		err := r.m.Register(c.check)
		for _, w := range c.want {
			if !errors.Is(err, pluginapi.ErrInvalid) || !strings.Contains(err.Error(), w) || len(err.Error()) > 600 {
				t.Errorf("%.50v: %v, want %q", c.check, err, w)
			}
		}
	}
	if n := len(r.m.Status(r.now).Checks); n != 2 {
		t.Errorf("%d checks: a refused one was kept", n)
	}
	for i := range health.MaxChecks - 2 {
		if err := r.m.Register(health.Check{Name: fmt.Sprint("n", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.m.Register(health.Check{Name: "last"}); err == nil || !strings.Contains(err.Error(), "one too many") {
		t.Errorf("%v", err)
	}
	for _, err := range []error{r.m.Unregister("nobody"), r.m.Reset("")} {
		if !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%v", err)
		}
	}
}

// TestSkippedKeepsItsRow: a skip is neither a failure nor the end of a row of
// them; a run that ends after its dependency has failed is skipped too.
func TestSkippedKeepsItsRow(t *testing.T) {
	r := newRig(t, health.Check{Name: "db", Interval: time.Second}, health.Check{Name: "api", Interval: 3 * time.Second, DependsOn: []string{"db"}})
	r.tick(0)
	r.end("db", "")
	r.end("api", "no")
	for range 3 {
		r.turn("db")
		r.end("db", "")
	}
	r.turn("api")
	r.turn("db")
	r.end("db", "gone")
	r.end("api", "no")
	r.want("api", "skipped", 1, false)
	r.turn("db")
	r.end("db", "")
	r.end("api", "no")
	r.want("api", "failing", 2, false)
}

// TestCircuitOpensAnew: a circuit that was closed begins with the shortest wait.
func TestCircuitOpensAnew(t *testing.T) {
	r := newRig(t, health.Check{Name: "a", Interval: time.Second})
	for _, err := range []string{"no", "no", "no", "no", "no", "", "no", "no", "no"} {
		r.turn("a")
		r.end("a", err)
	}
	before := r.now
	r.turn("a")
	if wait := r.now.Sub(before); wait != 2*time.Second {
		t.Errorf("the first wait is %v", wait)
	}
}

// TestRoundWithoutTheLate: a round does not wait for a check that is late.
func TestRoundWithoutTheLate(t *testing.T) {
	r := newRig(t, health.Check{Name: "a"})
	r.tick(5 * time.Second)
	r.step(health.RunNow{ID: 1})
	if r.want("a", "failing", 1, false); !slices.Equal(r.rounds, []uint64{1}) {
		t.Errorf("done: %v", r.rounds)
	}
}
