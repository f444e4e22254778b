// Command choose is a policy that goes by the label "turn": the higher the
// better; a node without it is unfit.
package main

import (
	"strconv"

	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
)

var _ = sdk.Score(sdk.About{Name: "choose", Version: "1.0.0"}, func(_ *sdk.App, n *sdk.Candidate) int64 {
	turn, ok := n.Label("turn")
	if !ok {
		return sdk.Unfit
	}
	score, err := strconv.ParseInt(turn, 10, 64)
	if err != nil {
		return sdk.Unfit
	}
	return score
})

func main() {}
