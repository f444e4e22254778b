// Command webhook is a hook plugin: it posts events, as JSON with a signature, to
// a web server.
package main
