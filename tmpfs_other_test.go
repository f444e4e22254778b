//go:build !linux

package cluster_test

import "testing"

// mountDisk is for Linux.
func mountDisk(*testing.T, string, bool) bool { return false }
