package control

import (
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Words of [NATS].Mode.
const (
	ModeEmbedded = "embedded" // the host runs its own server
	ModeClient   = "client"   // the host is a client of other hosts' servers
	ModeExternal = "external" // the platform uses a NATS that somebody else runs
)

// Words of [App].Mode.
const (
	AppSingleton = "singleton"
	AppSpread    = "spread"
)

// Words of [Instance].Role.
const (
	RoleLeader  = "leader"
	RoleStandby = "standby"
	RoleActive  = "active"
)

// SessionLive is the state of a session that holds.
const SessionLive = "live"

// Unknown is the role and the phase of an instance whose node does not answer.
const Unknown = "unknown"

// Status is the platform as one node sees it.
type Status struct {
	Platform    string   `json:"platform"`
	Node        string   `json:"node"` // the node that answered
	Version     string   `json:"version"`
	Incarnation uint64   `json:"incarnation"`
	Controller  string   `json:"controller"` // the node that follows the membership; "" means none is known
	Session     Session  `json:"session"`
	NATS        NATS     `json:"nats"`
	Nodes       []Node   `json:"nodes"`
	Apps        []App    `json:"apps"` // who leads what; of instances only what this node knows
	Warnings    []string `json:"warnings,omitempty"`
}

// Session is the lease of the node that answered.
type Session struct {
	State      string `json:"state"`        // live, released or revoked
	ValidForMS int64  `json:"valid_for_ms"` // milliseconds until it ends unless it is renewed
}

// NATS is what carries the platform's records and messages.
type NATS struct {
	Mode      string            `json:"mode"`      // embedded, client or external
	URL       string            `json:"url"`       // without user and password
	Voters    int               `json:"voters"`    // servers that vote; as a client: that hold the streams, 3 at most; 0 means unknown
	VotersUp  int               `json:"voters_up"` // of those, the ones that can be reached
	RaftTuned bool              `json:"raft_tuned"`
	Leaders   map[string]string `json:"leaders,omitempty"` // stream -> server that leads it; "" means none
	Warnings  []string          `json:"warnings,omitempty"`
}

// Node is a member of the platform and what an operator asks about it.
type Node struct {
	pluginapi.Member
	Version     string `json:"version"`
	Incarnation uint64 `json:"incarnation"`
	Cordoned    bool   `json:"cordoned"`
	Leads       int    `json:"leads"`        // number of apps it leads
	LastSeenMS  int64  `json:"last_seen_ms"` // milliseconds since it was last heard
	Up          bool   `json:"up"`           // its session holds, and it was heard of lately
	// FailingChecks names its health checks that fail; not those that are advisory.
	FailingChecks []string `json:"failing_checks,omitempty"`
}

// App is an app and its instances.
type App struct {
	Name      string          `json:"name"`
	Mode      string          `json:"mode"`   // singleton or spread
	Leader    string          `json:"leader"` // "" means none, or an app that has no leader
	Epoch     pluginapi.Epoch `json:"epoch"`
	Instances []Instance      `json:"instances"`
}

// Instance is an app on one node.
type Instance struct {
	Node      string    `json:"node"`
	Role      string    `json:"role"`  // leader, standby, active or unknown
	Phase     string    `json:"phase"` // the step of its life that it is in
	Since     time.Time `json:"since,omitzero"`
	Reason    string    `json:"reason,omitempty"` // why it is where it is
	Backend   *Backend  `json:"backend,omitempty"`
	Database  *Database `json:"database,omitempty"`
	HookError string    `json:"hook_error,omitempty"` // what the last failing hook said
}

// Backend is the state of the service behind an instance.
type Backend struct {
	Status    string `json:"status"` // running, starting, unhealthy or stopped
	Message   string `json:"message,omitempty"`
	UptimeMS  int64  `json:"uptime_ms"`
	Restarts  int    `json:"restarts"`
	Isolation string `json:"isolation,omitempty"` // what keeps it killable: cgroup or process group
}

// StepDownResult says how a leadership changed hands.
type StepDownResult struct {
	App    string          `json:"app"`
	From   string          `json:"from"`
	To     string          `json:"to"`
	Epoch  pluginapi.Epoch `json:"epoch"`   // of the new leader
	TookMS int64           `json:"took_ms"` // milliseconds from the request until the new leader held the lease
}
