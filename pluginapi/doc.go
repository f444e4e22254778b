// Package pluginapi is the vocabulary that the host, its plugins and its users
// share: names, epochs, members, leases, errors, and the contract of a backend.
//
// It is the lowest floor of the house. It imports nothing but pure packages of
// the standard library, so that a guest compiled to WebAssembly can use it too.
package pluginapi
