package membership_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/core/membership"
)

// FuzzTable: a table that is accepted can be followed and replaced, and what the
// controller makes of it is accepted again.
func FuzzTable(f *testing.F) {
	for _, s := range []string{
		`{"version":1,"epoch":1,"members":[{"node":"a","inc":1,"joined_at":"2026-01-02T03:04:05Z"}],"events":[{"v":1,"node":"a","inc":1}]}`,
		`{"version":18446744073709551615}`, `{"version":1,"members":[{"node":"b"},{"node":"a"}]}`, `{"version":1,"members":[{"node":"a"},{"node":"a"}]}`,
		`{"version":1,"events":[{"v":9,"node":"../x"}]}`, `{"version":1,"members":[{"node":"a","joined_at":"0000-01-01T00:00:00+23:59"}]}`,
		`{"version":1,"members":[{"node":"a","joined_at":"9999-12-31T23:59:59-23:59"}]}`, `null`, `[]`, ``,
	} {
		f.Add([]byte(s))
	}
	alive := []membership.Alive{{Node: "a", Inc: 1}, {Node: "c", Inc: 9}}
	f.Fuzz(func(t *testing.T, value []byte) {
		table, err := membership.DecodeTable(value)
		if err != nil {
			return
		}
		var follower membership.Follower
		follower.See(table)
		if again := follower.See(table); len(again) > 0 {
			t.Fatalf("told again: %v", again)
		}
		next, changed := membership.Diff(table, alive, table.Epoch, time.Unix(1000, 0), func(membership.Entry) string { return "gone" })
		if !changed {
			return
		}
		decoded, err := membership.DecodeTable(membership.Encode(next))
		if err != nil || decoded.Version <= table.Version {
			t.Fatalf("what follows %+v is %+v, %v", table, decoded, err)
		}
		follower.See(decoded)
		for _, a := range alive {
			if e, ok := follower.Table().Find(a.Node); !ok || e.Inc != a.Inc {
				t.Fatalf("%v is not in the table", a)
			}
		}
	})
}

// FuzzNode: a node record that is accepted can be edited and written again.
func FuzzNode(f *testing.F) {
	for _, s := range []string{
		`{"address":"h:1","version":"1","apps":["a","b"],"labels":{"zone":"1"},"cordoned":true,"failing":["db"]}`, `{"failing":["a/b"]}`, `{"labels":{".x":"y"}}`, `{"apps":["a/b"]}`,
		`{"labels":{"k":"\u0000"}}`, `{"labels":null}`, `null`, `{}`, `[]`, ``,
	} {
		f.Add([]byte(s), "key", "value")
	}
	f.Fuzz(func(t *testing.T, value []byte, k, v string) {
		r, err := membership.DecodeNode(value)
		if err != nil {
			return
		}
		next, changed := membership.Edit{Set: map[string]string{k: v}}.Apply(r)
		if membership.CheckLabels(next.Labels) != nil {
			return // the core refuses such an edit
		}
		again, err := membership.DecodeNode(membership.Encode(next))
		if err != nil || again.Labels[k] != next.Labels[k] || again.Cordoned != r.Cordoned || len(again.Apps) != len(r.Apps) {
			t.Fatalf("%+v is read again as %+v, %v", next, again, err)
		}
		if !changed && len(r.Labels) > 0 && !reflect.DeepEqual(next.Labels, r.Labels) {
			t.Fatalf("%+v and %+v are said to be the same", r, next)
		}
	})
}
