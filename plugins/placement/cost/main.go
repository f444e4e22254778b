package main

import (
	"math"
	"strconv"
	"strings"

	"github.com/ozanturksever/go-cluster/plugins/placement/fit"
	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
)

const (
	scale    = 8          // times at most 1000; with stay less than one preferred label
	whole    = 1000       // of one part
	micro    = 1_000_000  // prices are counted in millionths
	maxPrice = 1e9 * 1000 // a price that is higher is none
)

var _ = newPlugin()

func main() {}

// policy is the plugin's configuration. It computes with whole numbers: each node
// has to come to the same ranking.
type policy struct {
	label       string
	prices      map[string]int64 // by value of the label, in millionths; nil: the value is the price
	strict      bool             // a node without a price is unfit
	price, load int64            // weights
	stay        int64            // percent of what is cheaper or less busy that is not worth a move
}

func newPlugin() *sdk.Guest {
	p := &policy{label: "price", price: 70, load: 30, stay: 10}
	return sdk.Policy(sdk.About{Name: "cost", Version: "1.0.0", Configure: p.configure}, p.rank)
}

func (p *policy) configure(c *sdk.Config) error {
	p.label = c.Text("label", "price")
	p.price, p.load, p.stay = c.Int("price_weight", 70), c.Int("load_weight", 30), c.Int("stay_percent", 10)
	unknown := c.Text("unknown", "last")
	p.strict = unknown == "unfit"
	p.prices = nil
	if c.Has("prices") {
		p.prices = map[string]int64{}
		table := c.Sub("prices")
		for _, name := range table.Keys() {
			v := table.Float(name, -1)
			if !(v >= 0 && v <= maxPrice) {
				return sdk.Fail(string(sdk.ErrInvalid), "prices."+name+": give 0 to 1e12")
			}
			p.prices[name] = int64(math.Round(v * micro))
		}
	}
	weights := func(v int64) bool { return v >= 0 && v <= 100 }
	if !weights(p.price) || !weights(p.load) || p.price+p.load == 0 || p.stay < 0 || p.stay > 20 ||
		p.label == "" || unknown != "last" && unknown != "unfit" {
		return sdk.Fail(string(sdk.ErrInvalid), `weights are 0 to 100 and not both 0, stay_percent is 0 to 20, unknown is "last" or "unfit"`)
	}
	return nil
}

// priceOf is what a node costs, in millionths, and whether that is known.
func (p *policy) priceOf(n *sdk.Candidate) (int64, bool) {
	value, ok := n.Label(p.label)
	if !ok {
		return 0, false
	}
	if p.prices != nil {
		v, ok := p.prices[value]
		return v, ok
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !(v >= 0 && v <= maxPrice) {
		return 0, false
	}
	return int64(math.Round(v * micro)), true
}

// rank compares with the cheapest node that costs something and can be used.
func (p *policy) rank(_ *sdk.Call, app *sdk.App, table *sdk.Table, scores []int64) error {
	least := int64(math.MaxInt64)
	for i := range table.Candidates {
		n := &table.Candidates[i]
		if v, ok := p.priceOf(n); ok && v > 0 && !fit.Unfit(app, n) {
			least = min(least, v)
		}
	}
	for i := range table.Candidates {
		n := &table.Candidates[i]
		price, known := p.priceOf(n)
		if fit.Unfit(app, n) || p.strict && !known {
			scores[i] = sdk.Unfit
			continue
		}
		scores[i] = fit.Labels(app, n)
		if known {
			scores[i] += 1 + scale*(p.price*cheapness(price, least)+p.load*idleness(n))/(p.price+p.load)
		}
		if known && fit.Runs(app, n) {
			scores[i] += scale * whole * p.stay / 100
		}
	}
	return nil
}

// cheapness is 1000 for a node that costs nothing, 999 for the cheapest other one,
// and half of that for one that costs twice as much.
func cheapness(price, least int64) int64 {
	if price == 0 {
		return whole
	}
	return fit.Part(least, price, whole-1)
}

// idleness is 1000 for a node that does nothing, by cores or by memory, whichever
// is fuller. What is not known counts as half.
func idleness(n *sdk.Candidate) int64 {
	busy := int64(-1)
	if n.Cores > 0 {
		busy = fit.Part(n.Load, n.Cores, whole)
	}
	if n.Memory > 0 {
		busy = max(busy, whole-fit.Part(n.MemFree, n.Memory, whole))
	}
	if busy < 0 {
		busy = whole / 2
	}
	return whole - busy
}
