package main

import (
	"slices"

	"github.com/ozanturksever/go-cluster/plugins/placement/fit"
	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
)

// What counts how much. Together it is less than one preferred label. To stay is
// worth more than one app led, in the zone and on the node: else two nodes would
// hand an app to and fro.
const (
	inZone       = 1000 // a node that has the label
	perInstance  = 1500 // of the app, in the zone beside this node
	maxInstances = 4    // more do not count
	perZoneLead  = 40   // of any app, in the zone
	maxZoneLeads = 40
	perLead      = 40 // of any app, on the node
	maxLeads     = 20
	stay         = 100
	loadPoints   = 20 // for a node without load
	freePoints   = 10 // for a node whose memory is free
)

var _ = newPlugin()

func main() {}

// policy is the plugin's configuration.
type policy struct {
	label  string
	strict bool // a node without the label is unfit
}

func newPlugin() *sdk.Guest {
	p := &policy{label: "zone"}
	return sdk.Policy(sdk.About{Name: "zone-spread", Version: "1.0.0", Configure: p.configure}, p.rank)
}

func (p *policy) configure(c *sdk.Config) error {
	p.label = c.Text("label", "zone")
	missing := c.Text("missing", "last")
	p.strict = missing == "unfit"
	if p.label == "" || missing != "last" && missing != "unfit" {
		return sdk.Fail(string(sdk.ErrInvalid), `label is the name of a label, missing is "last" or "unfit"`)
	}
	return nil
}

// zone is what runs in one.
type zone struct{ instances, leads int64 }

// rank counts what runs in each zone, on unfit nodes too: it runs there.
func (p *policy) rank(_ *sdk.Call, app *sdk.App, table *sdk.Table, scores []int64) error {
	zones := map[string]zone{}
	for i := range table.Candidates {
		n := &table.Candidates[i]
		name, _ := n.Label(p.label)
		z := zones[name]
		z.leads += leadsOf(app, n)
		if slices.Contains(n.Apps, app.Name) {
			z.instances++
		}
		zones[name] = z
	}
	for i := range table.Candidates {
		n := &table.Candidates[i]
		name, labelled := n.Label(p.label)
		if fit.Unfit(app, n) || p.strict && !labelled {
			scores[i] = sdk.Unfit
			continue
		}
		scores[i] = fit.Labels(app, n) + onNode(app, n)
		if labelled {
			scores[i] += inZone + ofZone(app, n, zones[name])
		}
	}
	return nil
}

// leadsOf is what a node leads beside the app itself.
func leadsOf(app *sdk.App, n *sdk.Candidate) int64 {
	leads := max(0, min(n.Leads, 1000))
	if app.Leader != "" && app.Leader == n.Node {
		leads = max(0, leads-1)
	}
	return leads
}

// ofZone are the points for a zone in which little runs.
func ofZone(app *sdk.App, n *sdk.Candidate, z zone) int64 {
	if slices.Contains(n.Apps, app.Name) {
		z.instances-- // the node's own
	}
	return perInstance*(maxInstances-min(z.instances, maxInstances)) + perZoneLead*(maxZoneLeads-min(z.leads, maxZoneLeads))
}

// onNode are the points for a node that does little.
func onNode(app *sdk.App, n *sdk.Candidate) int64 {
	s := perLead*(maxLeads-min(leadsOf(app, n), maxLeads)) + fit.Part(n.MemFree, n.Memory, freePoints)
	if n.Cores > 0 {
		s += loadPoints - fit.Part(n.Load, n.Cores, loadPoints)
	}
	if app.Leader != "" && app.Leader == n.Node {
		s += stay
	}
	return s
}
