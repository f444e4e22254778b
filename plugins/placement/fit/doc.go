// Package fit is what the shipped policies have in common: the rules by which the
// built-in one says that a node must not be used, and how it counts labels. They
// differ in what they do with the nodes that are left.
package fit
