package plugin

import (
	"context"
	"log/slog"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Instance is a loaded plugin, whatever runs it. Call is safe for concurrent
// use: an instance has as many guests as it needs.
//
// # Errors
//
// What the plugin answered, as the sentinel of its code; ErrPluginCrashed,
// ErrPluginLimit (memory, deadline, output, host calls), ErrPluginProtocol;
// ErrNoMethod for an operation that the plugin does not have. After each of
// these but the plugin's own answer and ErrNoMethod the guest is replaced.
type Instance interface {
	// Call makes one call. The answer is the caller's own.
	Call(ctx context.Context, op string, in []byte) ([]byte, error)
	// Do gives fn one guest for several calls in a row, and nobody else meanwhile.
	Do(ctx context.Context, fn func(*Guest) error) error
	// Stats is what has happened so far.
	Stats() Stats
	// Close waits for the calls that run, as long as its context allows, and ends
	// the plugin.
	Close(ctx context.Context) error
}

// Guest is one running copy of a plugin. It belongs to the fn of [Instance.Do].
type Guest struct {
	Call func(ctx context.Context, op string, in []byte) ([]byte, error)
	Held any // what the caller has given this guest to keep; nil in a new one
}

// Stats counts what an instance has done.
type Stats struct {
	Calls, Errors, Crashes, Limits, Restarts uint64
	Guests                                   int    // that live now
	Memory                                   int64  // bytes that they use
	Mode                                     string // compiled, interpreted, process
}

// Host is what a plugin can ask of its host. Every call is checked against what
// was granted to that plugin; see package grant.
type Host interface {
	Call(ctx context.Context, op string, in []byte) ([]byte, error)
}

// Runtime loads plugins.
type Runtime interface {
	Load(ctx context.Context, a Artifact, o Options) (Instance, error)
}

// Artifact is a plugin's file on this node. Its digest is compared when it is
// read, again.
type Artifact struct {
	Name     string
	Version  string
	Contract wire.Contract
	Path     string
	Digest   [32]byte // SHA-256 of the file
}

// Options is what an instance is given.
type Options struct {
	Limits    Limits
	Host      Host           // nil: nothing is granted
	Configure wire.Configure // each guest is given it before its first work
	Logger    *slog.Logger   // what the plugin logs; nil: nowhere
}

// Limits bound an instance. Zero values mean the defaults below.
type Limits struct {
	Memory    int64         // bytes of each guest; WebAssembly 64 MiB, a process 256 MiB
	Call      time.Duration // one call, unless its context ends sooner; 500 ms for a placement, 5 s else
	Output    int64         // bytes of one answer; 1 MiB
	Input     int64         // bytes of one question; 8 MiB
	HostCalls int           // in one call; 1000
	Log       int64         // bytes a second; 64 KiB
	Guests    int           // of WebAssembly; the number of cores, at most 4, and 1 for a backend
	Tasks     int           // processes and threads of a binary; 64
	CPU       float64       // cores of a binary; 1
}
