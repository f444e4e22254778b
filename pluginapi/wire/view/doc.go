// Package view shows bytes as a string without a copy. It is the one place of
// the wire that needs package unsafe: room pluginapi/wire itself stays pure.
// unsafe.String is part of the language since Go 1.20; the standard compiler
// (all targets, wasip1 among them) and TinyGo both have it.
package view
