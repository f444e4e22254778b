// Package adapt makes a policy, a hook or a backend of a plugin, whatever runs
// it. It knows the messages and keeps the plugin honest: how many scores, which
// fences, which words. When a plugin is called, and what its failure means, is
// decided by who calls it; see package failure.
package adapt
