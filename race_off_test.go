//go:build !race

package cluster_test

const racing = false
