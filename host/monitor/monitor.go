package monitor

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/health"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// endWait is how long the end of Run waits for checks that are being run.
const endWait = time.Second

// Func is the code of a check: nil means that it passes.
type Func func(context.Context) error

// Monitor keeps the checks of one node and runs them while Run runs.
type Monitor struct {
	wake  chan struct{}
	ended chan struct{}

	mu      sync.Mutex
	machine *health.Machine
	funcs   map[string]Func
	inputs  []health.Input // for Run, in order
	rounds  map[uint64]chan struct{}
	serial  uint64
	began   bool
	running map[uint64]string // what has been started and has not come back
	idle    chan struct{}     // closed when Run has ended and nothing runs any more
}

// New returns a monitor without checks.
func New() *Monitor {
	return &Monitor{
		wake: make(chan struct{}, 1), ended: make(chan struct{}), machine: health.New(), funcs: map[string]Func{},
		rounds: map[uint64]chan struct{}{}, running: map[uint64]string{}, idle: make(chan struct{}),
	}
}

// Register adds a check, before Run or while it runs.
//
// # Errors
//
// Every mistake at once, each wraps ErrInvalid; ErrShuttingDown after Run.
func (m *Monitor) Register(c health.Check, fn Func) error {
	if fn == nil {
		return fmt.Errorf("%w: health check %.70q has no function", pluginapi.ErrInvalid, c.Name)
	}
	return m.change(func() error {
		if err := m.machine.Register(c); err != nil {
			return err
		}
		m.funcs[c.Name] = fn
		return nil
	})
}

// Unregister takes a check away.
//
// # Errors
//
// ErrInvalid when there is none of that name, or another one depends on it;
// ErrShuttingDown after Run.
func (m *Monitor) Unregister(name string) error {
	return m.change(func() error {
		if err := m.machine.Unregister(name); err != nil {
			return err
		}
		delete(m.funcs, name)
		return nil
	})
}

// Reset closes the circuit of a check, which is then tried at once.
//
// # Errors
//
// ErrInvalid when there is none of that name; ErrShuttingDown after Run.
func (m *Monitor) Reset(name string) error {
	return m.change(func() error { return m.machine.Reset(name) })
}

// change changes what is registered and lets Run look at it.
func (m *Monitor) change(fn func() error) error {
	if m.over() {
		return fmt.Errorf("change health checks: %w", pluginapi.ErrShuttingDown)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.signal()
	return fn()
}

func (m *Monitor) over() bool {
	select {
	case <-m.ended:
		return true
	default:
		return false
	}
}

func (m *Monitor) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Status returns the last result of each check.
func (m *Monitor) Status() pluginapi.HealthStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.Status(time.Now())
}

// Failing names the checks that make the node fail.
func (m *Monitor) Failing() []string { return m.names((*health.Machine).Failing) }

// Pending names the checks that count and have no result yet.
func (m *Monitor) Pending() []string { return m.names((*health.Machine).Pending) }

func (m *Monitor) names(of func(*health.Machine) []string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return of(m.machine)
}

// History returns the last results of a check, oldest first; nil when there is
// no such check.
func (m *Monitor) History(name string) []pluginapi.CheckResult {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.History(name)
}

// AllHistory returns the last results of every check, oldest first.
func (m *Monitor) AllHistory() map[string][]pluginapi.CheckResult {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string][]pluginapi.CheckResult{}
	for _, name := range m.machine.Names() {
		out[name] = m.machine.History(name)
	}
	return out
}

// Check runs the checks now and returns when each has a result, or the context
// has ended. A check that is being run is not started again; one that is late,
// or whose circuit is open, keeps its last result. While Run does not run, the
// last results are returned.
func (m *Monitor) Check(ctx context.Context) pluginapi.HealthStatus {
	m.mu.Lock()
	if !m.began || m.over() {
		defer m.mu.Unlock()
		return m.machine.Status(time.Now())
	}
	m.serial++
	id, done := m.serial, make(chan struct{})
	m.rounds[id] = done
	m.inputs = append(m.inputs, health.RunNow{ID: id})
	m.mu.Unlock()
	m.signal()
	select {
	case <-done:
	case <-m.ended:
	case <-ctx.Done():
		m.mu.Lock()
		delete(m.rounds, id)
		m.inputs = append(m.inputs, health.Forget{ID: id})
		m.mu.Unlock()
		m.signal()
	}
	return m.Status()
}

// Listener is told what the checks find, one thing at a time. Its functions must
// return at once.
type Listener struct {
	Changed func(pluginapi.HealthStatus) // the status, after each change of it
	Failing func(names []string)         // the checks that make the node fail, after each change of them
}

// Run runs the checks until the context ends. It may be called once.
func (m *Monitor) Run(ctx context.Context, log *slog.Logger, l Listener) {
	m.mu.Lock()
	m.began = true
	m.mu.Unlock()
	life, cancel := context.WithCancel(ctx)
	defer m.end(log)
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-m.wake:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		rest, wait := m.step(life)
		for _, e := range rest {
			m.do(e, l)
		}
		timer.Reset(wait)
	}
}

// step tells the machine what has happened and starts the checks whose turn it
// is; wait is the time to the next tick.
func (m *Monitor) step(life context.Context) (rest []health.Effect, wait time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	inputs := append(m.inputs, health.Tick{})
	m.inputs = nil
	for _, in := range inputs {
		for _, e := range m.machine.Step(time.Now(), in) {
			if s, ok := e.(health.Start); ok {
				m.start(life, s)
			} else {
				rest = append(rest, e)
			}
		}
	}
	next, ok := m.machine.Next()
	if !ok {
		return rest, time.Hour
	}
	return rest, max(0, time.Until(next))
}

// do does what must not be done while the monitor is locked.
func (m *Monitor) do(e health.Effect, l Listener) {
	switch e := e.(type) {
	case health.RoundDone:
		m.mu.Lock()
		defer m.mu.Unlock()
		if done := m.rounds[e.ID]; done != nil {
			close(done)
			delete(m.rounds, e.ID)
		}
	case health.Changed:
		l.Changed(e.Status)
	case health.FailingChanged:
		l.Failing(e.Names)
	default:
		panic(fmt.Sprintf("monitor: unknown effect %T", e))
	}
}

// start runs the code of a check in a goroutine of its own. The monitor is
// locked.
func (m *Monitor) start(life context.Context, e health.Start) {
	fn := m.funcs[e.Name]
	m.running[e.ID] = e.Name
	go func() {
		ctx, cancel := context.WithTimeout(life, e.Timeout)
		defer cancel()
		text := "it ended its goroutine"
		defer func() { m.back(e, text) }()
		text = call(ctx, fn)
	}()
}

// back notes that the code of a check has come back.
func (m *Monitor) back(e health.Start, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.running, e.ID)
	m.inputs = append(m.inputs, health.Ended{ID: e.ID, Name: e.Name, Err: text})
	if m.over() && len(m.running) == 0 {
		close(m.idle)
	}
	m.signal()
}

// call runs the code of a check and returns the text of its error. A panic is
// one too.
func call(ctx context.Context, fn Func) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprintf("panic: %v", p)
		}
	}()
	err := fn(ctx)
	if err == nil {
		return ""
	}
	if text = err.Error(); text == "" {
		return "an error without a text"
	}
	return text
}

// end waits a moment for the checks that are being run. One that does not come
// back even when its context has ended is left alone: its code cannot be
// stopped from outside.
func (m *Monitor) end(log *slog.Logger) {
	m.mu.Lock()
	close(m.ended)
	if len(m.running) == 0 {
		m.mu.Unlock()
		return
	}
	m.mu.Unlock()
	late := time.NewTimer(endWait)
	defer late.Stop()
	select {
	case <-m.idle:
	case <-late.C:
		m.mu.Lock()
		defer m.mu.Unlock()
		var names []string
		for _, name := range m.running {
			names = append(names, name)
		}
		slices.Sort(names)
		log.Warn("health checks that do not return are left behind", "checks", strings.Join(names, " "))
	}
}
