package election_test

import (
	"bytes"
	"testing"

	"github.com/ozanturksever/go-cluster/host/core/election"
)

// FuzzSession: whatever a store says, what is accepted can be written again, is
// understood in the same way, and has a next incarnation.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		`{"node":"a","inc":1,"n":1,"ttl_ms":1000,"state":"live","home":"h"}`, `{"node":"a","inc":18446744073709551615,"ttl_ms":1000,"state":"live"}`,
		`{"node":"a","inc":1,"ttl_ms":9223372036854775807,"state":"live"}`, `{"node":"b","inc":1,"ttl_ms":1000,"state":"live"}`,
		`{"node":"a","inc":1,"ttl_ms":1000,"state":"dead"}`, `{"node":"a","inc":-1}`, `null`, `[]`, ``, `{`,
	} {
		f.Add("a", []byte(s))
	}
	f.Add("a b", []byte(`{"node":"a b","inc":1,"ttl_ms":1000,"state":"live"}`))
	f.Fuzz(func(t *testing.T, node string, value []byte) {
		r, err := election.DecodeSession(node, value)
		if err != nil {
			return
		}
		again, err := election.DecodeSession(node, election.Encode(r))
		if err != nil || again != r {
			t.Fatalf("%+v is read again as %+v, %v", r, again, err)
		}
		if r.Inc == 0 || r.Inc+1 <= r.Inc || r.TTL() <= 0 || r.Node != node {
			t.Fatalf("accepted %+v", r)
		}
	})
}

// FuzzOwner: the same for ownership records.
func FuzzOwner(f *testing.F) {
	for _, s := range []string{
		`{"holder":{"node":"a","inc":1},"epoch":1}`, `{"holder":{},"epoch":7,"from":"b","reason":"x"}`, `{"holder":{"node":"a"},"epoch":1}`,
		`{"holder":{"inc":1},"epoch":1}`, `{"holder":{"node":"a","inc":1}}`, `{"holder":{"node":"../x","inc":1},"epoch":1}`,
		`{"holder":{},"epoch":18446744073709551615}`, `{}`, `null`, `0`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := election.DecodeOwner("app.web", value)
		if err != nil {
			return
		}
		again, err := election.DecodeOwner("app.web", election.Encode(r))
		if len(value) < 8<<10 && (err != nil || again != r) {
			t.Fatalf("%+v is read again as %+v, %v", r, again, err)
		}
		if r.Epoch+1 <= r.Epoch || (r.Holder.Node == "") != (r.Holder.Inc == 0) || r.Holder.Node != "" && r.Epoch == 0 {
			t.Fatalf("accepted %+v", r)
		}
	})
}

// TestHuge: a record that is too long is refused before it is read.
func TestHuge(t *testing.T) {
	value := append([]byte(`{"holder":{},"epoch":1,"reason":"`), bytes.Repeat([]byte("x"), 70<<10)...)
	value = append(value, `"}`...)
	if _, err := election.DecodeOwner("app.web", value); err == nil {
		t.Error("an owner of 70 KiB was accepted")
	}
	value = append([]byte(`{"node":"a","inc":1,"ttl_ms":1000,"state":"live","home":"`), bytes.Repeat([]byte("x"), 300)...)
	value = append(value, `"}`...)
	if _, err := election.DecodeSession("a", value); err == nil {
		t.Error("a home of 300 bytes was accepted")
	}
}
