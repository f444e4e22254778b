// Command hog is a plugin that uses as much memory as it is told.
package main

import (
	"context"
	"strconv"

	"github.com/ozanturksever/go-cluster/pluginapi/serve"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

func main() {
	serve.Operations(func(_ context.Context, op string, in []byte) ([]byte, error) {
		switch op {
		case wire.OpDescribe:
			d := wire.Description{Contract: wire.ContractHook, Name: "hog", Version: "1.0.0"}
			return d.Append(nil), nil
		case "eat":
			return nil, eat(string(in))
		}
		return nil, nil
	})
}

// eat uses so many MiB.
func eat(mib string) error {
	n, err := strconv.Atoi(mib)
	var all [][]byte
	for range n {
		b := make([]byte, 1<<20)
		for i := range b {
			b[i] = byte(i)
		}
		all = append(all, b)
	}
	_ = len(all)
	return err
}
