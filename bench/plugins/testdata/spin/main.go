// Command spin is a hook that works: as many steps as the event's epoch says, or,
// for 0, for ever. For the app "garbage" it makes garbage meanwhile.
package main

import sdk "github.com/ozanturksever/go-cluster/sdk-wasm"

var (
	kept [64][]byte
	sum  uint64
)

var _ = sdk.Hook(sdk.About{Name: "spin", Version: "1.0.0"}, func(_ *sdk.Call, e sdk.Event) error {
	x := uint64(1)
	for i := uint64(0); e.Epoch == 0 || i < e.Epoch; i++ {
		x = x*6364136223846793005 + 1442695040888963407
		if e.App == "garbage" && i%4096 == 0 {
			kept[x%64] = make([]byte, 4096)
		}
	}
	sum = x
	return nil
})

func main() {}
