// Command gchost makes single-node services highly available. It is the daemon
// (gchost run), its watchman (gchost guard), and the commands that ask a running
// host: see docs/cli.md and docs/config.md.
package main
