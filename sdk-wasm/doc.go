// Package sdk is for those who write a plugin in Go that runs as WebAssembly: a
// placement policy, a hook, a backend. This is a whole one:
//
//	package main
//
//	import sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
//
//	var plugin = sdk.Score(sdk.About{Name: "emptiest", Version: "1.0.0"},
//		func(app *sdk.App, n *sdk.Candidate) int64 {
//			if n.Cordoned || !n.Healthy {
//				return sdk.Unfit
//			}
//			return n.MemFree
//		})
//
//	func main() {}
//
// It is built by
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags='-s -w' -o emptiest.wasm .
//
// or by TinyGo with -target=wasip1 -buildmode=c-shared -scheduler=none. What is
// served is what was made last before the first call: a variable of package main,
// as above. A module serves one plugin.
//
// The same code runs outside of WebAssembly under package sdktest, with a host
// that a test can look into.
//
// # Memory
//
// A loaded plugin is several guests, each with its own memory, and a call may
// come to any of them: what is to last, or to be seen by others, belongs into the
// host's store. A backend is one guest only. A guest makes one call at a time. What a policy is given is the SDK's own: it
// is valid until the function returns and must not be changed. A ranking itself
// allocates nothing once its buffers have grown; what allocates in a guest is
// what the plugin does. Everything else that a plugin is given is its to keep.
//
// The SDK itself uses neither reflection nor package fmt, so that TinyGo can make
// small modules.
package sdk
