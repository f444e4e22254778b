// Package backendtest starts what tests of backends need for real: an engine for
// containers with an image in it, and a systemd, each in folders and namespaces
// of its own. Both need root.
//
// The service in the image and in the share of the systemd is boxed, whose
// behaviour is ruled by files in a folder.
package backendtest
