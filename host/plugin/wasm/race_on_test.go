//go:build race

package wasm

// raceOn: wazero's compiler needs ten seconds for a module of Go under the race
// detector. Modules of Go are interpreted then; small ones are compiled all the
// same.
const raceOn = true
