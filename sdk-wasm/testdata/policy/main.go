// Command policy is the policy of package sample as a guest.
package main

import "github.com/ozanturksever/go-cluster/sdk-wasm/testdata/sample"

var _ = sample.Policy()

func main() {}
