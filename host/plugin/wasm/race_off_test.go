//go:build !race

package wasm

// raceOn: see race_on_test.go.
const raceOn = false
