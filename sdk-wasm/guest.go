package sdk

import (
	"slices"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// The words of the host that plugins see most.
type (
	App       = pluginapi.AppSpec
	Candidate = pluginapi.Candidate
	Label     = pluginapi.Label
	Table     = pluginapi.Table
	Event     = pluginapi.HookEvent
	Kind      = pluginapi.HookKind
)

// Unfit is the score of a node that must not be used.
const Unfit = pluginapi.Unfit

// About is what a plugin says of itself.
type About struct {
	Name    string
	Version string
	// Configure takes the plugin's configuration, before its first work. Faults of
	// what it reads need not be looked for: they are told to the host when it
	// returns. Nil: there is nothing to configure.
	Configure func(c *Config) error
}

// Guest is a plugin as its host sees it. Policy, Score, Hook and Backend make one.
type Guest struct {
	about     wire.Description
	configure func(c *Config) error
	contract  contract
	call      Call
	out       []byte
}

// contract does the operations of one contract. It appends the answer to dst.
type contract interface {
	do(c *Call, op string, in, dst []byte) ([]byte, error)
}

func newGuest(a About, d wire.Description, c contract) *Guest {
	d.Name, d.Version = a.Name, a.Version
	g := &Guest{about: d, configure: a.Configure, contract: c}
	serve(g)
	return g
}

// Host is what a guest stands on: the imports of the module, or a host of package
// sdktest.
type Host interface {
	// Call asks the host for an operation (wire.HostKVGet and so on). The answer is
	// valid until the next one.
	Call(op string, in []byte) ([]byte, error)
	Log(level Level, text string)
}

// Do does one operation of the ABI (wire.OpRank and so on) as its host asks for
// it. The answer is valid until the next Do. Authors of plugins do not need it.
//
// # Errors
//
// The plugin's own; ErrNoMethod for an operation that it does not have; ErrStale
// for a table that it does not hold; *wire.DecodeError for bytes that are no
// message.
func (g *Guest) Do(h Host, op string, in []byte) ([]byte, error) {
	g.call.host = h
	var err error
	switch op {
	case wire.OpDescribe:
		g.out = g.about.Append(g.out[:0])
	case wire.OpConfigure:
		g.out = g.out[:0]
		err = g.setUp(in)
	default:
		g.out, err = g.contract.do(&g.call, op, in, g.out[:0])
	}
	if err != nil {
		return nil, err
	}
	return g.out, nil
}

func (g *Guest) setUp(in []byte) error {
	var m wire.Configure
	if err := m.Decode(slices.Clone(in)); err != nil {
		return err
	}
	g.call.Platform, g.call.Node, g.call.App, g.call.Seed = m.Platform, m.Node, m.App, m.Seed
	if g.configure == nil {
		return nil
	}
	c, err := parseConfig(m.Config)
	if err != nil {
		return err
	}
	if err := g.configure(c); err != nil {
		return err
	}
	return c.Err()
}
