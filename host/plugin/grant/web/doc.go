// Package web makes the HTTP exchanges of plugins. Where a name leads is checked
// when the connection is made, so that a name that leads inside of the operator's
// network, now or at the second look, reaches nothing.
package web
