// Command binpack is a placement plugin: it fills nodes one after the other, so
// that others stay empty and can be taken away.
package main
