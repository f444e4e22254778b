// Package scaffold writes the files of a new plugin: a small one that builds,
// passes gchost plugin test, and is there to be changed.
package scaffold
