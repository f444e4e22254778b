package pluginapi

import "context"

// Policy ranks the nodes that an app can be placed on.
//
// Rank returns one score for each candidate of the table, in its order: the
// higher the better, [Unfit] or any other negative number for a node that must
// not be used. It decides by its arguments alone, so that two nodes that are
// given the same table come to the same ranking; equal scores are decided by
// the node's id. It is called by several goroutines at a time.
type Policy interface {
	Rank(ctx context.Context, app AppSpec, table *Table) ([]int64, error)
}

// Unfit is the score of a node that must not be used.
const Unfit int64 = -1

// Label is one label of a node, or one that an app asks for.
type Label struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// AppSpec is what a policy is told of an app.
type AppSpec struct {
	Name     string  `json:"name"`
	Mode     string  `json:"mode"`               // singleton, spread, pool, ring
	Requires []Label `json:"requires,omitempty"` // a node without them is unfit
	Prefers  []Label `json:"prefers,omitempty"`
	Avoids   []Label `json:"avoids,omitempty"`
	CPU      int64   `json:"cpu_millis,omitempty"` // thousandths of a core that it needs; 0: not said
	Memory   int64   `json:"memory,omitempty"`     // bytes that it needs; 0: not said
	Weight   int64   `json:"weight,omitempty"`     // how heavy it is beside other apps; 0: not said
	Leader   string  `json:"leader,omitempty"`     // node that leads it now, "" for none
}

// Candidate is a node as a policy sees it.
type Candidate struct {
	Node     string   `json:"node"`
	Labels   []Label  `json:"labels,omitempty"` // sorted by key, each key once
	Apps     []string `json:"apps,omitempty"`   // that run there, sorted
	Leads    int64    `json:"leads,omitempty"`  // how many apps it leads
	Cores    int64    `json:"cpu_millis,omitempty"`
	Memory   int64    `json:"memory,omitempty"` // bytes it has; 0: not known
	Load     int64    `json:"load_millis,omitempty"`
	MemFree  int64    `json:"memory_free,omitempty"`
	Joined   int64    `json:"joined_ms,omitempty"` // milliseconds since 1970
	Cordoned bool     `json:"cordoned,omitempty"`
	Healthy  bool     `json:"healthy"`
}

// Label returns the value of a label and whether the node has it.
func (c Candidate) Label(key string) (string, bool) {
	for _, l := range c.Labels {
		if l.Key == key {
			return l.Value, true
		}
	}
	return "", false
}

// Table is what is known of all nodes at one moment. It is never changed: a
// later moment is another table with a higher epoch.
type Table struct {
	Epoch      uint64      `json:"epoch"`
	Candidates []Candidate `json:"candidates"` // sorted by node, each node once
}
