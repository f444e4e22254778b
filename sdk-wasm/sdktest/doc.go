// Package sdktest runs a plugin of package sdk outside of WebAssembly, with a
// host that a test can fill and look into. Every call goes through the same bytes
// as in a real host, so that what passes here behaves the same there.
//
//	h := sdktest.New(t, plugin)
//	h.Configure(`{"url": "http://example.org"}`)
//	if err := h.Event(sdk.Event{Kind: sdk.Active, App: "db"}); err != nil { ... }
package sdktest
