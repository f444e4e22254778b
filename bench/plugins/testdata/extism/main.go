// Command extism is the scoring as a guest of Extism. Extism says nothing of how
// messages are coded; it is given those of this platform, the quickest here.
package main

import (
	"slices"

	"github.com/extism/go-pdk"

	"github.com/ozanturksever/go-cluster/bench/plugins/testdata/score"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

var (
	table   wire.Candidates
	ask     wire.Rank
	ranking wire.Ranking
	out     []byte
)

//go:wasmexport candidates
func candidates() int32 {
	if err := table.Decode(slices.Clone(pdk.Input())); err != nil {
		pdk.SetError(err)
		return 1
	}
	return 0
}

//go:wasmexport rank
func rank() int32 {
	if err := ask.Decode(pdk.Input()); err != nil {
		pdk.SetError(err)
		return 1
	}
	ranking.Scores = ranking.Scores[:0]
	for i := range table.Upserts {
		ranking.Scores = append(ranking.Scores, score.Score(&ask.Apps[0], &table.Upserts[i]))
	}
	out = ranking.Append(out[:0])
	pdk.Output(out)
	return 0
}

func main() {}
