// Command policy is the scoring as a guest of this platform.
package main

import (
	"github.com/ozanturksever/go-cluster/bench/plugins/testdata/score"
	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
)

var _ = sdk.Score(sdk.About{Name: "bench", Version: "1.0.0"}, score.Score)

func main() {}
