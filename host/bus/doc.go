// Package bus is the only room that talks NATS: one connection per node,
// records that are changed by compare-and-set, watches that never miss
// silently, blobs, requests, and the names of all of it.
package bus
