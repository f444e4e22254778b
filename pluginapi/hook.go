package pluginapi

import "context"

// Hook is told of the events of an app's and a platform's life.
//
// Handle returns when the work for the event is done. What an error does is the
// configuration's decision, see the failure policies; for
// [HookMigrationStart] the error [ErrRejected] is a veto. An event may be told
// again after a crash, with the same ID.
type Hook interface {
	Handle(ctx context.Context, event HookEvent) error
}

// HookKind names an event that a hook is told of.
type HookKind string

// The kinds of hook events.
const (
	HookActive            HookKind = "active"
	HookPassive           HookKind = "passive"
	HookStart             HookKind = "start"
	HookStop              HookKind = "stop"
	HookLeaderChange      HookKind = "leader_change"
	HookOwn               HookKind = "own"
	HookRelease           HookKind = "release"
	HookMemberJoin        HookKind = "member_join"
	HookMemberLeave       HookKind = "member_leave"
	HookHealthChange      HookKind = "health_change"
	HookMigrationStart    HookKind = "migration_start"
	HookMigrationComplete HookKind = "migration_complete"
	HookPlacementInvalid  HookKind = "placement_invalid"
)

// HookKinds lists all kinds, in the order in which documents name them.
func HookKinds() []HookKind {
	return []HookKind{
		HookActive, HookPassive, HookStart, HookStop, HookLeaderChange, HookOwn, HookRelease,
		HookMemberJoin, HookMemberLeave, HookHealthChange,
		HookMigrationStart, HookMigrationComplete, HookPlacementInvalid,
	}
}

// HookEvent is one event. Fields that have no meaning for its kind are empty.
type HookEvent struct {
	ID         string   `json:"id"` // the same when it is told again
	Kind       HookKind `json:"kind"`
	Platform   string   `json:"platform"`
	Node       string   `json:"node"` // the node that tells it
	App        string   `json:"app"`
	Epoch      uint64   `json:"epoch,omitempty"`      // of the leadership; 0 without one
	Attempt    int64    `json:"attempt"`              // 1 for the first
	Time       int64    `json:"time_ms"`              // milliseconds since 1970
	Leader     string   `json:"leader,omitempty"`     // leader_change: the new one, "" for none
	Member     *Member  `json:"member,omitempty"`     // member_join, member_leave
	Check      string   `json:"check,omitempty"`      // health_change: the check's name
	Status     string   `json:"status,omitempty"`     // health_change: its new state
	Partitions []int64  `json:"partitions,omitempty"` // own, release
	From       string   `json:"from,omitempty"`       // migration: node it leaves
	To         string   `json:"to,omitempty"`         // migration: node it goes to
	Reason     string   `json:"reason,omitempty"`     // why, for people
}
