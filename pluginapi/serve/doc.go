// Package serve is main() of a plugin binary:
//
//	func main() {
//		serve.Hook(serve.About{Name: "page-me", Version: "1.0.0"}, newHook)
//	}
//
// A plugin is given its configuration before its first work. It logs with
// package slog, whose default logger writes JSON to stderr, where the host reads
// it; the same goes for package log. Stdout belongs to the handshake: print
// nothing before serving. The context of each call ends when nobody waits for
// its answer any more; [HostOf] gives what the plugin may ask of its host
// meanwhile.
//
// What a plugin starts as its own children ends with it: the host kills
// everything that has GCHOST_PLUGIN of this plugin in its environment when the
// plugin's process ends, however it ends.
package serve
