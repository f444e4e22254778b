// Command notify is a hook that writes down what it is told.
package main

import (
	"strconv"

	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
)

var _ = sdk.Hook(sdk.About{Name: "notify", Version: "1.0.0"}, func(c *sdk.Call, e sdk.Event) error {
	what := e.Node + " " + strconv.FormatUint(e.Epoch, 10) + " " + e.Leader
	if e.Member != nil {
		what += e.Member.NodeID
	}
	return c.Put("seen/"+string(e.Kind), []byte(what))
})

func main() {}
