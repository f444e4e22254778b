package bus

import (
	"fmt"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Names makes every subject, stream and bucket name of one platform. No two
// different things get the same name: a platform's name is always the second
// token of a subject and the last part of a stream's name, and the token that
// says what follows is fixed, so that no platform, app, node or lock name can
// be taken for another (see pluginapi.CheckName for what a name may hold).
//
//	gc.<platform>.s.<node>          session records             stream gc_sessions_<platform>
//	gc.<platform>.o.app.<app>       who leads an app            stream gc_records_<platform>
//	gc.<platform>.o.role.<role>     who holds a role (controller)
//	gc.<platform>.o.node.<node>     labels, cordon, address, apps of a node
//	gc.<platform>.o.members         the table of members
//	gc.<platform>.ws.> and .wo.>    what the two streams publish again for watchers
//	gc.<platform>.hint.<kind>       look at once; never a proof
//	gc.<platform>.digest            the controller's word once in a while
//	gc.<platform>.ctl.any.<verb>    requests that any node answers (queue group)
//	gc.<platform>.ctl.node.<node>.<verb>   requests to one node
//	gc.<platform>.l.app.<app>.<lock>       who holds a lock of an app      stream gc_locks_<platform>
//	gc.<platform>.l.platform.<lock>        who holds a lock of the platform
//	gc.<platform>.wl.>                     what that stream publishes again
//	gc.<platform>.p.plugin.<plugin>        what is wanted of a plugin      stream gc_plugins_<platform>
//	gc.<platform>.p.at.<node>              what a node has of the plugins
//	gc.<platform>.wp.>                     what that stream publishes again
//	gc.<platform>.audit.<category>.<action>   audit entries            stream gc_audit_<platform>
//	gc.<platform>.e.<live|kept>.<source>.<subject>   events of the platform; source is an app, or "-"
//	gc.<platform>.dead.<consumer>.<source>.<subject>   events of the platform that a consumer could not handle
//	gc.<platform>.a.<app>.rpc.any          calls that any instance answers (queue group)
//	gc.<platform>.a.<app>.rpc.node.<node>  calls to one instance
//	gc.<platform>.a.<app>.e.<live|kept>.<subject>    events of an app
//	gc.<platform>.a.<app>.dead.<consumer>.<subject>  events of an app that a consumer could not handle
//	gc.<platform>.a.<app>.wkv.>            what the app's KV bucket publishes again
//	gc.<platform>.a.<app>.kv.<epoch|check> the bucket's own messages, in its stream, no keys
//
// A bucket or a stream of an app has the length of the platform's name in its
// own, because - and _ may be in both: KV bucket gc_<length>_<platform>_<app>,
// streams gc_<kind>_<length>_<platform>_<app>. So what any NATS client calls
// the bucket of an app is what the platform calls it.
type Names struct{ platform string }

// NewNames checks the platform's name and returns its names.
func NewNames(platform string) (Names, error) {
	if err := pluginapi.CheckName("platform", platform); err != nil {
		return Names{}, err
	}
	return Names{platform}, nil
}

func (n Names) root() string { return "gc." + n.platform + "." }

// Platform returns the name that the names were made for.
func (n Names) Platform() string { return n.platform }

// Sessions describes the stream of session records.
func (n Names) Sessions() RecordsConfig {
	return RecordsConfig{Stream: "gc_sessions_" + n.platform, Subject: n.root() + "s", Republish: n.root() + "ws"}
}

// Records describes the stream of all other records: ownership, nodes, members.
func (n Names) Records() RecordsConfig {
	return RecordsConfig{Stream: "gc_records_" + n.platform, Subject: n.root() + "o", Republish: n.root() + "wo"}
}

// Blobs is the name of the platform's object store bucket. It holds the packages
// of plugins, as plugin.<upload>.
func (n Names) Blobs() string { return "gc_blobs_" + n.platform }

// Hint is the subject of a hint of one kind; "*" names all kinds.
func (n Names) Hint(kind string) string { return n.root() + "hint." + kind }

// Digest is the subject of the controller's digest.
func (n Names) Digest() string { return n.root() + "digest" }

// ControlAny is the subject of a control request that any node may answer.
func (n Names) ControlAny(verb string) string { return n.root() + "ctl.any." + verb }

// ControlNode is the subject of a control request to one node.
func (n Names) ControlNode(node, verb string) string {
	return n.root() + "ctl.node." + node + "." + verb
}

// Locks describes the stream of lock records.
func (n Names) Locks() RecordsConfig {
	return RecordsConfig{Stream: "gc_locks_" + n.platform, Subject: n.root() + "l", Republish: n.root() + "wl"}
}

// Plugins describes the stream of records of plugins. They have one of their own,
// so that whoever follows the records that leases hang on does not hear of them.
func (n Names) Plugins() RecordsConfig {
	return RecordsConfig{Stream: "gc_plugins_" + n.platform, Subject: n.root() + "p", Republish: n.root() + "wp"}
}

// AppLock is the key, in [Names.Locks], of a lock of an app.
func AppLock(app, lock string) string { return "app." + app + "." + lock }

// PlatformLock is the key, in [Names.Locks], of a lock of the platform.
func PlatformLock(lock string) string { return "platform." + lock }

// AuditStream is the name of the stream of audit entries.
func (n Names) AuditStream() string { return "gc_audit_" + n.platform }

// Audit is what the subjects of audit entries begin with; category and action
// follow.
func (n Names) Audit() string { return n.root() + "audit" }

// The two kinds of events, as a token of their subjects.
const (
	EventLive = "live" // to whoever listens at this moment
	EventKept = "kept" // stored in a stream as well
)

// NoApp stands for the source of a platform event that no app has sent. No app
// can be called that.
const NoApp = "-"

// PlatformEvents is what the subjects of the platform's events begin with: kind
// is EventLive, EventKept or "*", source an app, NoApp or "*".
func (n Names) PlatformEvents(kind, source string) string {
	return n.root() + "e." + kind + "." + source
}

// PlatformEventStream is the name of the stream of the platform's kept events.
// The stream of an app has another kind in its name: an app's stream of the
// platform "p" is gc_events_1_p_<app>, and a platform may be called "1_p_<app>".
func (n Names) PlatformEventStream() string { return "gc_platformevents_" + n.platform }

// PlatformDead is what the subjects of the platform's dead letters begin with;
// consumer and the rest of the event's subject follow.
func (n Names) PlatformDead() string { return n.root() + "dead" }

// PlatformDeadStream is the name of the stream of the platform's dead letters.
func (n Names) PlatformDeadStream() string { return "gc_platformdead_" + n.platform }

// AnyCall matches the calls to every app.
func (n Names) AnyCall() string { return n.root() + "a.*.rpc.>" }

// App returns the names of one app.
//
// # Errors
//
// As of [pluginapi.CheckName].
func (n Names) App(app string) (AppNames, error) {
	if err := pluginapi.CheckName("app", app); err != nil {
		return AppNames{}, err
	}
	return AppNames{n, app}, nil
}

// AppNames makes every subject and stream name of one app.
type AppNames struct {
	platform Names
	app      string
}

// Name returns the app's name.
func (a AppNames) Name() string { return a.app }

// Root is what every subject of the app begins with, without a last dot.
func (a AppNames) Root() string { return a.platform.root() + "a." + a.app }

// unique is a name that no other pair of platform and app has.
func (a AppNames) unique() string {
	return fmt.Sprintf("%d_%s_%s", len(a.platform.platform), a.platform.platform, a.app)
}

// Bucket is the app's KV bucket, as NATS clients call it.
func (a AppNames) Bucket() string { return "gc_" + a.unique() }

// KVRepublish is what the subjects of what the bucket publishes again begin
// with.
func (a AppNames) KVRepublish() string { return a.Root() + ".wkv" }

// KVEpoch is the subject, in the bucket's stream, of the highest epoch that has
// made a fenced change.
func (a AppNames) KVEpoch() string { return a.Root() + ".kv.epoch" }

// KVCheck is the subject, in the bucket's stream, of messages that are stored
// only to prove a condition.
func (a AppNames) KVCheck() string { return a.Root() + ".kv.check" }

// RPCAny is the subject of calls that any instance of the app answers.
func (a AppNames) RPCAny() string { return a.Root() + ".rpc.any" }

// RPCNode is the subject of calls to the app's instance on one node.
func (a AppNames) RPCNode(node string) string { return a.Root() + ".rpc.node." + node }

// Events is what the subjects of the app's events begin with: kind is EventLive,
// EventKept or "*".
func (a AppNames) Events(kind string) string { return a.Root() + ".e." + kind }

// EventStream is the name of the stream of the app's kept events.
func (a AppNames) EventStream() string { return "gc_events_" + a.unique() }

// Feed describes the stream of the changes of the app's database.
func (a AppNames) Feed() FeedConfig {
	return FeedConfig{Stream: "gc_feed_" + a.unique(), Subject: a.Root() + ".feed", Republish: a.Root() + ".wfeed"}
}

// Chunks describes the store of the pieces of the app's snapshots.
func (a AppNames) Chunks() ChunksConfig {
	return ChunksConfig{Stream: "gc_chunks_" + a.unique(), Subject: a.Root() + ".chunk"}
}

// Dead is what the subjects of the app's dead letters begin with; consumer and
// the event's subject follow.
func (a AppNames) Dead() string { return a.Root() + ".dead" }

// DeadStream is the name of the stream of the app's dead letters.
func (a AppNames) DeadStream() string { return "gc_dead_" + a.unique() }

// RecordsConfig describes one stream of records.
type RecordsConfig struct {
	Stream    string // name of the stream
	Subject   string // records live on Subject + "." + key
	Republish string // each stored record is published again on Republish + "." + key
	Replicas  int    // 0 means min(3, servers)
	Existing  bool   // wait until somebody else has made the stream
}
