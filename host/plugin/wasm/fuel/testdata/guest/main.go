// Command guest is a plugin's worth of Go for the benchmarks: built for
// GOOS=wasip1 with -buildmode=c-shared.
package main

import (
	"sort"
	"strings"
)

func main() {}

// sum is a tight loop.
//
//go:wasmexport sum
func sum(n int32) int32 {
	var x uint32 = 1
	for range n {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
	}
	return int32(x)
}

type node struct {
	name   string
	labels []string
	load   int
	score  int
}

// rank scores and sorts nodes as a policy does, n times.
//
//go:wasmexport rank
func rank(n int32) int32 {
	nodes := make([]node, 100)
	names := strings.Fields("zone rack disk cpu arch")
	for i := range nodes {
		nodes[i] = node{name: "node-" + string(rune('a'+i%26)), labels: names[:i%len(names)+1], load: i * 7919 % 1000}
	}
	total := 0
	for range n {
		for i := range nodes {
			s := 1000 - nodes[i].load
			for _, l := range nodes[i].labels {
				if l == "disk" || strings.HasPrefix(l, "cp") {
					s += 10
				}
			}
			nodes[i].score = s
		}
		sort.Slice(nodes, func(a, b int) bool { return nodes[a].score > nodes[b].score })
		total += nodes[0].score
	}
	return int32(total)
}
