package catalog

import (
	"slices"
	"strings"
	"sync"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/plugin/catalog/plan"
)

// view is what this node has read of the records.
type view struct {
	mu      sync.Mutex
	plugins map[string]entry
	reports map[string]reported
}

type entry struct {
	seq uint64
	p   plan.Plugin
}

type reported struct {
	seq uint64
	r   plan.Report
}

func newView() view {
	return view{plugins: map[string]entry{}, reports: map[string]reported{}}
}

// takePlugin takes a record, and returns the plugin if it is a newer one.
func (v *view) takePlugin(rec bus.Record) (p plan.Plugin, fresh bool, err error) {
	name := strings.TrimPrefix(rec.Key, keyPlugin)
	p, err = plan.DecodePlugin(name, rec.Value)
	if err != nil {
		return plan.Plugin{}, false, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if rec.Seq <= v.plugins[name].seq {
		return plan.Plugin{}, false, nil
	}
	v.plugins[name] = entry{rec.Seq, p}
	return p, true, nil
}

// takeReport takes a report, if it is a newer one.
func (v *view) takeReport(rec bus.Record) error {
	node := strings.TrimPrefix(rec.Key, keyReport)
	r, err := plan.DecodeReport(node, rec.Value)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if rec.Seq > v.reports[node].seq {
		v.reports[node] = reported{rec.Seq, r}
	}
	return nil
}

// all returns the plugins, by name.
func (v *view) all() (out []entry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, e := range v.plugins {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b entry) int { return strings.Compare(a.p.Name, b.p.Name) })
	return out
}

// rolling says whether a rollout is going on.
func (v *view) rolling() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, e := range v.plugins {
		if e.p.Rollout != nil {
			return true
		}
	}
	return false
}

// nodes returns the reports of living nodes in their present incarnation, by
// node.
func (v *view) nodes(live map[string]uint64) (out []plan.Report) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for node, r := range v.reports {
		if inc, lives := live[node]; lives && r.r.Inc == inc {
			out = append(out, r.r)
		}
	}
	slices.SortFunc(out, func(a, b plan.Report) int { return strings.Compare(a.Node, b.Node) })
	return out
}
