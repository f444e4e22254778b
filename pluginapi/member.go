package pluginapi

import "time"

// Member is a node of the platform as the other nodes see it.
type Member struct {
	NodeID    string            `json:"node"`
	Platform  string            `json:"platform"`
	Address   string            `json:"address"` // host or host:port under which the node's services are reached
	Labels    map[string]string `json:"labels,omitempty"`
	JoinedAt  time.Time         `json:"joined_at"`
	LastSeen  time.Time         `json:"last_seen"`
	Apps      []string          `json:"apps"`
	IsHealthy bool              `json:"healthy"` // it is up, and none of its health checks fails that counts
}
