// Package engine is a small client of the Docker Engine API, as the engine
// documents it and Podman serves it too: what a backend needs of containers,
// over the engine's Unix socket. It names no version in its paths, so that each
// engine answers in its own; only fields that all of them know are used
// (checked with API 1.41).
//
// What an engine answers is taken with suspicion: answers have a largest size,
// and nothing in them is used as a path or a command.
package engine
