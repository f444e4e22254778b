package lock_test

import (
	"bytes"
	"testing"

	"github.com/ozanturksever/go-cluster/host/core/election"
	"github.com/ozanturksever/go-cluster/host/core/lock"
)

// FuzzDecode: whatever a store says, what is accepted can be written again, is
// understood in the same way, lets nobody in who excludes another, and a machine
// can go on from it.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"epoch":1}`, `{"epoch":3,"holders":[{"node":"a","inc":1,"ticket":1,"epoch":3}],"queue":[{"node":"b","inc":2,"ticket":9}]}`,
		`{"epoch":3,"limit":2,"holders":[{"node":"a","inc":1,"ticket":1,"epoch":3,"shared":true},{"node":"a","inc":1,"ticket":2,"epoch":2,"shared":true}]}`,
		`{"epoch":3,"holders":[{"node":"a","inc":1,"ticket":1,"epoch":3},{"node":"b","inc":1,"ticket":1,"epoch":2}]}`,
		`{"epoch":1,"holders":[{"node":"a","inc":1,"ticket":1,"epoch":2}]}`, `{"epoch":1,"queue":[{"node":"a","inc":1,"ticket":1,"epoch":1}]}`,
		`{"epoch":18446744073709551615}`, `{"epoch":1,"limit":-1}`, `{"epoch":1,"limit":1000000}`,
		`{"epoch":1,"queue":[{"node":"../x","inc":1,"ticket":1}]}`, `{"epoch":1,"queue":[{"node":"a","inc":1,"ticket":1,"shared":true}]}`, `{}`, `null`, `[]`, ``, `{`,
	} {
		f.Add([]byte(s))
	}
	self := election.Holder{Node: "self", Inc: 7}
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := lock.Decode("x", value)
		if err != nil {
			return
		}
		again, err := lock.Decode("x", r.Encode())
		if err != nil || !bytes.Equal(again.Encode(), r.Encode()) {
			t.Fatalf("%+v is read again as %+v, %v", r, again, err)
		}
		if r.Epoch+1 <= r.Epoch {
			t.Fatalf("no epoch after %d", r.Epoch)
		}
		m := lock.New(0)
		m.Step(self, lock.Enter{Ticket: 1})
		for _, e := range m.Step(self, lock.Found{Seen: lock.Seen{Seq: 1, Record: r}}) {
			w, ok := e.(lock.Write)
			if !ok {
				continue
			}
			if next, err := lock.Decode("x", w.Record.Encode()); err != nil || next.Epoch < r.Epoch {
				t.Fatalf("from %+v to %+v: %v", r, w.Record, err)
			}
		}
	})
}

// TestHuge: a record that is too long is refused before it is read.
func TestHuge(t *testing.T) {
	value := append([]byte(`{"epoch":1,"x":"`), bytes.Repeat([]byte("x"), 600<<10)...)
	if _, err := lock.Decode("x", append(value, `"}`...)); err == nil {
		t.Error("600 KiB were accepted")
	}
}

// TestFullQueue: 1000 may wait, the next one hears so.
func TestFullQueue(t *testing.T) {
	m, self := lock.New(0), election.Holder{Node: "self", Inc: 7}
	r := lock.Record{Epoch: 1, Holders: []lock.Claim{{Holder: self, Ticket: 5000, Epoch: 1}}}
	m.Step(self, lock.Enter{Ticket: 5000})
	m.Step(self, lock.Found{Seen: lock.Seen{Seq: 1, Record: r}})
	for i := range uint64(lock.MaxQueue) {
		m.Step(self, lock.Enter{Ticket: i + 1})
	}
	m.Step(self, lock.Stored{Seq: 2})
	m.Step(self, lock.Stored{Seq: 3})
	effects := m.Step(self, lock.Enter{Ticket: 6000})
	effects = append(effects, m.Step(self, lock.Found{Seen: lock.Seen{Seq: 3}})...)
	for _, e := range effects {
		if refused, ok := e.(lock.Refused); ok && refused.Ticket == 6000 {
			t.Log(refused.Err)
			return
		}
	}
	t.Errorf("not refused: %v", effects)
}
