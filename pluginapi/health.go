package pluginapi

import "time"

// Status words of a [CheckResult]; a [HealthStatus] passes or fails.
const (
	StatusPassing = "passing"
	StatusFailing = "failing"
	StatusSkipped = "skipped" // it was not tried: a check that it depends on fails, or its first turn has not come
)

// HealthStatus is what the health checks of a node say.
type HealthStatus struct {
	Status    string                 `json:"status"` // failing when a check fails that is not advisory, else passing
	Checks    map[string]CheckResult `json:"checks"` // by name, every registered check
	Timestamp time.Time              `json:"timestamp"`
}

// CheckResult is the last word of one health check.
type CheckResult struct {
	Status       string    `json:"status"`
	LatencyMS    int64     `json:"latency_ms"`         // how long the check took; 0 when it was skipped
	Error        string    `json:"error,omitempty"`    // why it fails or was skipped; at most 512 bytes
	Timestamp    time.Time `json:"timestamp,omitzero"` // when the result came; zero before the first
	CircuitOpen  bool      `json:"circuit_open"`       // it is tried less often, until it passes
	FailureCount int       `json:"failure_count"`      // failures in a row
	Advisory     bool      `json:"advisory,omitempty"` // it is shown, and counts for nothing else
}
