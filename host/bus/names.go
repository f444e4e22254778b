package bus

import "github.com/ozanturksever/go-cluster/pluginapi"

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

// Blobs is the name of the platform's object store bucket.
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

// RecordsConfig describes one stream of records.
type RecordsConfig struct {
	Stream    string // name of the stream
	Subject   string // records live on Subject + "." + key
	Republish string // each stored record is published again on Republish + "." + key
	Replicas  int    // 0 means min(3, servers)
}
