package health

import (
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Status returns the last result of each check.
func (m *Machine) Status(now time.Time) pluginapi.HealthStatus {
	s := pluginapi.HealthStatus{Status: pluginapi.StatusPassing, Checks: map[string]pluginapi.CheckResult{}, Timestamp: now.Round(0).UTC()}
	for name, c := range m.checks {
		s.Checks[name] = c.last
	}
	if len(m.Failing()) > 0 {
		s.Status = pluginapi.StatusFailing
	}
	return s
}

// Failing names the checks that make the node fail, as registered.
func (m *Machine) Failing() (names []string) {
	return m.counting(func(c *check) bool { return c.last.Status == pluginapi.StatusFailing })
}

// Pending names the checks that count and have no result yet.
func (m *Machine) Pending() (names []string) { return m.counting((*check).pending) }

func (m *Machine) counting(is func(*check) bool) (names []string) {
	for _, name := range m.order {
		if c := m.checks[name]; !c.Advisory && is(c) {
			names = append(names, name)
		}
	}
	return names
}

// History returns the last results of a check, oldest first; nil when there is
// no such check.
func (m *Machine) History(name string) []pluginapi.CheckResult {
	c := m.checks[name]
	if c == nil {
		return nil
	}
	return append([]pluginapi.CheckResult{}, c.history...)
}

// Names returns the names of all checks, sorted.
func (m *Machine) Names() []string { return slices.Sorted(slices.Values(m.order)) }
