//go:build race

package cluster_test

// racing says that the race detector is on.
const racing = true
