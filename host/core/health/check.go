package health

import (
	"fmt"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Defaults and bounds of a [Check].
const (
	DefaultInterval = 10 * time.Second
	DefaultTimeout  = 5 * time.Second
	MaxChecks       = 256
	minInterval     = 10 * time.Millisecond
	minTimeout      = time.Millisecond
	maxSpan         = 24 * time.Hour
)

// Check says when a check is run and what it counts for.
type Check struct {
	Name      string
	Interval  time.Duration // from start to start, or from the end if the run took longer; 0: default
	Timeout   time.Duration // after which it has failed; 0: default. It may be longer than the interval: a turn waits for the one before
	DependsOn []string      // checks without which this one says nothing: it is skipped while one of them does not pass
	Advisory  bool          // it is shown, and does not count for the node's health
}

// withDefaults fills in what was left out.
func (c Check) withDefaults() Check {
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	c.DependsOn = slices.Clone(c.DependsOn)
	return c
}

// faults lists all mistakes in a check that was given its defaults.
func (c Check) faults() (faults []error) {
	faults = append(faults, pluginapi.CheckName("health check", c.Name))
	span := func(what string, d, least time.Duration) {
		if d < least || d > maxSpan {
			faults = append(faults, fmt.Errorf("%w: health check %.70q: its %s is %v: give %v to %v, or 0 for the default", pluginapi.ErrInvalid, c.Name, what, d, least, maxSpan))
		}
	}
	span("interval", c.Interval, minInterval)
	span("timeout", c.Timeout, minTimeout)
	return faults
}
