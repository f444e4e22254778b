//go:build !linux

package cluster_test

import "testing"

// mountSmall is for Linux.
func mountSmall(*testing.T, string) bool { return false }
