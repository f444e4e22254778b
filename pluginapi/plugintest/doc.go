// Package plugintest has one conformance suite for each contract of a plugin.
// Whatever implements a contract passes it: what is built in, what is compiled
// to WebAssembly, and a binary.
//
// A suite has two parts. The laws hold for every policy, hook or backend. The
// reference checks hold for the three plugins of package reference, whose every
// answer is known; they test what lies between: a runtime, an adapter, a
// language. [Policy.Run] and its kin run the laws, and the reference checks too
// where the plugin is the reference one.
//
//	plugintest.Policy{New: func(t plugintest.T) pluginapi.Policy { ... }}.Run(t)
//
// A check needs no *testing.T: a command that tests a plugin's file lists the
// checks and runs them with a T of its own.
package plugintest
