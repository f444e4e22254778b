// Package reference holds a policy, a hook and a backend whose every answer is
// known. An implementation of them in any language, run by any runtime, passes
// the suites of package plugintest; so the suites test the runtimes, the
// languages and themselves. It builds for WebAssembly.
package reference
