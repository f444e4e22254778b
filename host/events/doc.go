// Package events delivers what apps tell each other: live, to whoever listens at
// this moment, and kept, to groups of readers until one of them has acknowledged.
// A [Broker] is one node's part of the events of one app, or of the platform.
package events
