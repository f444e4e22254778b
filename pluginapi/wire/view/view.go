package view

import "unsafe"

// String returns a string over the memory of b. Nobody may change b as long as
// the string, or a part of it, is in use.
func String(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
