// Package inproc runs a plugin that is compiled in. It is to the host what any
// other plugin is, a [plugin.Instance]: questions, answers and failures are the
// same bytes, so that what is built in goes the way of what is installed.
package inproc
