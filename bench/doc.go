// Package bench measures the platform side by side with other systems, in the
// same run, with the same durability. It is a module of its own, so that nothing
// of the others is a dependency of the platform. bench/go.work makes it use the
// platform's code of this tree: run `go test -bench . ./...` in this folder, or
// make bench.
package bench
