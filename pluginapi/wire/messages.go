package wire

import "github.com/ozanturksever/go-cluster/pluginapi"

// Version is the major version of the ABI. Operations and fields may be added
// without changing it; a reader skips fields that it does not know.
const Version = 1

// The operations of a plugin. A WebAssembly guest exports each one that it has
// as "gc_" + operation; a binary dispatches by the name.
const (
	OpDescribe   = "describe"   // nothing -> Description
	OpConfigure  = "configure"  // Configure -> nothing; once, before all but describe
	OpCandidates = "candidates" // Candidates -> nothing; ErrStale when Base is not the epoch held
	OpRank       = "rank"       // Rank -> Ranking; ErrStale when Epoch is not the epoch held
	OpEvent      = "event"      // pluginapi.HookEvent -> nothing
	OpBind       = "bind"       // Bind -> Fences; backends, once, before the first start
	OpStart      = "start"      // Start -> nothing
	OpStop       = "stop"       // Stop -> nothing
	OpStatus     = "status"     // nothing -> Status
)

// The operations that a plugin may ask of its host, each behind a capability.
const (
	HostKVGet    = "kv.get"    // Key -> Value; ErrKeyNotFound
	HostKVPut    = "kv.put"    // KeyValue -> nothing
	HostKVDelete = "kv.delete" // Key -> nothing
	HostKVKeys   = "kv.keys"   // Key, as a prefix -> Keys
	HostPublish  = "publish"   // Publish -> nothing
	HostCall     = "rpc"       // Call -> Value
	HostHTTP     = "http"      // HTTPRequest -> HTTPResponse
	HostExec     = "exec"      // ExecRequest -> ExecResult; backends only
	HostSecret   = "secret"    // Key -> Value
	HostClock    = "clock"     // nothing -> Clock
	HostRandom   = "random"    // Random -> Value
)

// Contract names what a plugin is for.
type Contract string

// The contracts.
const (
	ContractPlacement Contract = "placement"
	ContractHook      Contract = "hook"
	ContractBackend   Contract = "backend"
)

// Error is how a plugin and its host tell each other of a failure. Code is the
// text of a sentinel of pluginapi, or a word of the plugin's own.
type Error struct {
	Code  string
	Text  string
	Retry bool // trying again may help
}

// Description is what a plugin says of itself.
type Description struct {
	Contract Contract
	Name     string
	Version  string
	Events   []string // kinds of hook events that it wants; empty: all
	Deltas   bool     // it takes differences of the table of candidates
}

// Configure is what a plugin is given before its first work.
type Configure struct {
	Platform string
	Node     string
	App      string // "" for a plugin that serves the whole platform
	Config   []byte // JSON, checked against the manifest's schema
	Seed     uint64 // for decisions that are the same on every node
}

// Candidates is a table of candidates, or the difference to an earlier one.
type Candidates struct {
	Base    uint64 // epoch that the difference is to; 0: the table is whole
	Epoch   uint64
	Upserts []pluginapi.Candidate
	Removed []string
}

// Rank asks for the scores of several apps against the table held.
type Rank struct {
	Epoch uint64
	Apps  []pluginapi.AppSpec
}

// Ranking answers Rank: for each app one score per candidate, in the table's
// order, all in one row.
type Ranking struct {
	Scores []int64
}

// Bind says to a backend whose it is, and with which config.
type Bind struct {
	Platform, Node, App, Dir string
}

// Fences answers Bind.
type Fences struct {
	Fences []pluginapi.Fence
}

// Start starts a backend's service.
type Start struct {
	Epoch uint64
}

// Stop stops it: gracefully for so many milliseconds, by force then.
type Stop struct {
	GraceMS int64
}

// Status is the state of a backend's service.
type Status struct {
	Status   string // as in pluginapi.BackendHealth
	Message  string
	UptimeMS int64
	Failed   string // why it is given up for good; "" while it is not
}

// Key names one thing: a key, a prefix, a secret.
type Key struct {
	Key string
}

// KeyValue is a key and its value.
type KeyValue struct {
	Key   string
	Value []byte
}

// Value is an answer in bytes.
type Value struct {
	Value []byte
}

// Keys is a list of keys, sorted.
type Keys struct {
	Keys []string
}

// Publish publishes an event of the app.
type Publish struct {
	Subject string
	Data    []byte
}

// Call calls a method of an app.
type Call struct {
	App     string
	Method  string
	Data    []byte
	Timeout int64 // milliseconds; 0: the rest of the plugin's own deadline
}

// Header is one line of an HTTP header.
type Header struct {
	Name, Value string
}

// HTTPRequest asks for one HTTP exchange.
type HTTPRequest struct {
	Method  string
	URL     string
	Headers []Header
	Body    []byte
	Timeout int64 // milliseconds; 0: the rest of the plugin's own deadline
}

// HTTPResponse answers it.
type HTTPResponse struct {
	Status  int64
	Headers []Header
	Body    []byte
}

// ExecRequest runs a command that the grant names.
type ExecRequest struct {
	Command string
	Args    []string
	Stdin   []byte
	Timeout int64
}

// ExecResult answers it.
type ExecResult struct {
	Code   int64
	Stdout []byte
	Stderr []byte
}

// Clock is the time on this node.
type Clock struct {
	UnixMS int64
	Uptime int64 // nanoseconds on a clock that never goes back
}

// Random asks for random bytes, at most 1024.
type Random struct {
	Count int64
}
