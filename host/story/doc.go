// Package story plays the stories of the pure machines: text files with steps
// and, below a line of dashes, what the machines answered. A change of
// behaviour is a readable difference of text. It is for tests only.
package story
