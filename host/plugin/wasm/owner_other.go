//go:build !unix

package wasm

import "io/fs"

// foreignOwner cannot tell here: the access lists of the user's folder hold.
func foreignOwner(fs.FileInfo) string { return "" }

func othersWrite(fs.FileInfo) bool { return false }
