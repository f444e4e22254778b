package core_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestForgets: a core that has seen thousands of changes remembers no more than
// one that has seen a few.
func TestForgets(t *testing.T) {
	s := newStage(t)
	act := func(format string, args ...any) { s.act(strings.Fields(fmt.Sprintf(format, args...))) }
	act("start a b c")
	churn := func(from, to int) {
		for i := from; i < to; i++ {
			act("label a %d b k=%d", 10*i+1, i)
			act("label a %d nobody k=v", 10*i+2)
			act("stepdown a web %d", 10*i+3)
			act("stepdown b web %d", 10*i+4)
			act("forget a %d", 10*i+3)
			act("kill c")
			act("release c")
			act("gone a c")
			act("restart c home-%d", i)
			act("write records app.web%d garbage", i)
			act("run 30")
		}
	}
	churn(0, 40)
	few := s.cores["a"].Sizes()
	churn(40, 600)
	act("run 2000")
	for what, n := range s.cores["a"].Sizes() {
		if n > few[what]+3 {
			t.Errorf("%s: %d after 600 rounds, %d after 40", what, n, few[what])
		}
	}
	if s.cores["a"].Sizes()["writes"]+s.cores["a"].Sizes()["edits"]+s.cores["a"].Sizes()["waiting"] > 0 {
		t.Errorf("not all is answered: %v", s.cores["a"].Sizes())
	}
	t.Logf("%v", s.cores["a"].Sizes())
}
