package recording_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/builtin/policy"
	"github.com/ozanturksever/go-cluster/host/plugin/recording"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

func table(epoch uint64, nodes ...string) *pluginapi.Table {
	t := &pluginapi.Table{Epoch: epoch}
	for i, n := range nodes {
		t.Candidates = append(t.Candidates, pluginapi.Candidate{
			Node: n, Healthy: true, Cordoned: i == 1, Leads: int64(i), Cores: 4000, Memory: 8 << 30, MemFree: 1 << 30, Load: 5, Joined: 6,
			Labels: []pluginapi.Label{{Key: "disk", Value: "ssd"}, {Key: "zone", Value: "a"}}, Apps: []string{"db"},
		})
	}
	return t
}

func read(t *testing.T, text string) (all []recording.Question) {
	t.Helper()
	if err := recording.Read(strings.NewReader(text), func(q recording.Question) error { all = append(all, q); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// What was asked is what is read, and a table is written once.
func TestThereAndBack(t *testing.T) {
	var out bytes.Buffer
	r := recording.NewRecorder(&out, 0)
	one, two := table(1, "a", "b"), table(2, "a", "c")
	shop := pluginapi.AppSpec{Name: "shop", Mode: "singleton", Prefers: []pluginapi.Label{{Key: "disk", Value: "ssd"}}, CPU: 5, Memory: 6, Weight: 7, Leader: "a"}
	at := time.UnixMilli(1_750_000_000_000)
	for i, tab := range []*pluginapi.Table{one, one, two, one} {
		if err := r.Asked(at.Add(time.Duration(i)*time.Second), tab, shop, pluginapi.AppSpec{Name: "db"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(out.String(), `"candidates"`); n != 3 {
		t.Errorf("%d tables are written, want 3", n)
	}
	got := read(t, out.String())
	for i, tab := range []*pluginapi.Table{one, one, two, one} {
		if want := (recording.Question{Time: at.UnixMilli() + int64(i)*1000, Table: tab, Apps: []pluginapi.AppSpec{shop, {Name: "db"}}}); !reflect.DeepEqual(got[i], want) {
			t.Errorf("line %d: %+v, want %+v", i, got[i], want)
		}
	}
}

// A recorder never gets in the way of a ranking, also when it is full.
func TestRecordedPolicy(t *testing.T) {
	var out bytes.Buffer
	tab := table(1, "a", "b", "c")
	r := recording.NewRecorder(&out, 2000)
	p := r.Policy(policy.Spread{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				want, _ := policy.Spread{}.Rank(context.Background(), pluginapi.AppSpec{Name: "shop"}, tab)
				if got, err := p.Rank(context.Background(), pluginapi.AppSpec{Name: "shop"}, tab); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%v, %v, want %v", got, err, want)
				}
			}
		})
	}
	all.Wait()
	if err := r.Err(); !errors.Is(err, pluginapi.ErrTooLarge) || out.Len() > 2000 {
		t.Errorf("%v after %d bytes", err, out.Len())
	}
	if n := len(read(t, out.String())); n < 5 || n >= 160 {
		t.Errorf("%d questions are kept", n)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// After an error the rest would be read against the wrong table: it is not written.
func TestNothingAfterAnError(t *testing.T) {
	r := recording.NewRecorder(failing{}, 0)
	for range 2 {
		if err := r.Asked(time.Now(), table(1, "a"), pluginapi.AppSpec{Name: "x"}); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("%v", err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	const good = `{"time_ms":1,"table":{"epoch":1,"candidates":[{"node":"a","healthy":true}]},"apps":[{"name":"x","mode":""}]}`
	read(t, good+"\n\n"+`{"apps":[]}`)
	label := strings.Repeat(`{"key":"a","value":"b"},`, 257)
	for text, says := range map[string]string{
		`{"apps":[]}`:      "line 1: the first line has no table",
		good + "\n" + `{`:  "line 2",
		good + "\n" + `[]`: "line 2",
		good + good:        "behind the document",
		`{"table":{"epoch":1,"candidates":[{"node":"b"},{"node":"a"}]}}`:                  "node a does not come after b",
		`{"table":{"epoch":1,"candidates":[{"node":"a"},{"node":"a"}]}}`:                  "each once",
		`{"table":{"epoch":1,"candidates":[{"node":"a b"}]}}`:                             "a b",
		`{"table":{"epoch":1,"candidates":[{"node":""}]}}`:                                "node",
		`{"table":{"epoch":-1}}`:                                                          "epoch",
		`{"tabel":{}}`:                                                                    "tabel",
		`{"table":{"candidates":[{"node":"a","labels":[{"key":"b"},{"key":"a"}]}]}}`:      "labels are sorted",
		`{"table":{"candidates":[{"node":"a","labels":[` + label[:len(label)-1] + `]}]}}`: "257 labels",
		`{"table":{},"apps":[{"name":"../x"}]}`:                                           "../x",
		`{"table":{},"apps":[{"name":"x","requires":[` + label[:len(label)-1] + `]}]}`:    "257 labels",
	} {
		err := recording.Read(strings.NewReader(text), func(recording.Question) error { return nil })
		if !errors.Is(err, pluginapi.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%.80s: %v does not say %q", text, err, says)
		}
	}
	stop := fmt.Errorf("stop")
	if err := recording.Read(strings.NewReader(good), func(recording.Question) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the reader's error: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`{"time_ms":1,"table":{"epoch":1,"candidates":[{"node":"a","labels":[{"key":"k","value":"v"}]}]},"apps":[{"name":"x"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		_ = recording.Read(strings.NewReader(text), func(q recording.Question) error {
			if q.Table == nil {
				t.Fatal("a question without a table")
			}
			for i := range q.Table.Candidates {
				if i > 0 && q.Table.Candidates[i-1].Node >= q.Table.Candidates[i].Node {
					t.Fatal("nodes are not sorted")
				}
			}
			return nil
		})
	})
}
