// Package answer is the plugin's side of the wire: it turns the bytes of one
// operation into a call of a policy, a hook or a backend, and what they return
// into bytes. Runtimes and SDKs stand on it; how the bytes travel is theirs.
package answer
