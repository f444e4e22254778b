// Package plugin says what a loaded plugin is to the host, whatever runs it:
// instances, guests, limits, and what a plugin can ask of its host. Its rooms
// are the two runtimes (wasm, exec), the manifest, the grants and the catalog.
package plugin
