// Command binary is the scoring as a plugin binary of this platform.
package main

import (
	"context"

	"github.com/ozanturksever/go-cluster/bench/plugins/testdata/score"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/serve"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

func main() {
	serve.Policy(serve.About{Name: "bench", Version: "1.0.0"}, func(wire.Configure) (pluginapi.Policy, error) { return policy{}, nil })
}

type policy struct{}

func (policy) Rank(_ context.Context, app pluginapi.AppSpec, table *pluginapi.Table) ([]int64, error) {
	scores := make([]int64, len(table.Candidates))
	for i := range table.Candidates {
		scores[i] = score.Score(&app, &table.Candidates[i])
	}
	return scores, nil
}
