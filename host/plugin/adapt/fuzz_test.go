package adapt_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// FuzzAnswers: whatever bytes a plugin answers, an adapter does not panic, and
// what it lets through keeps the contract.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(nil))
	f.Add((&wire.Ranking{Scores: []int64{3, -1}}).Append(nil))
	f.Add((&wire.Status{Status: pluginapi.StatusRunning, UptimeMS: 1 << 62}).Append(nil))
	f.Add((&wire.Fences{Fences: []pluginapi.Fence{{Kind: pluginapi.FenceEnv, Name: "GCHOST_INSTANCE=p.n.a"}}}).Append(nil))
	f.Add((&wire.Fences{Fences: []pluginapi.Fence{{Kind: pluginapi.FenceCgroup, Name: "/sys/fs/cgroup/gchost/p.n.a/../x"}}}).Append(nil))
	f.Add((&wire.Description{Contract: wire.ContractHook, Events: []string{"active"}, Deltas: true}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		hostile := false
		s := &scripted{do: func(context.Context, string, []byte) ([]byte, error) {
			if hostile {
				return b, nil
			}
			return nil, nil
		}}
		p, err := adapt.NewPolicy(t.Context(), s)
		k, err2 := adapt.NewBackend(t.Context(), s)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		hostile = true
		if scores, err := p.Rank(t.Context(), pluginapi.AppSpec{}, nodes(1, "a", "b")); err == nil && len(scores) != 2 {
			t.Errorf("%d scores for 2 candidates", len(scores))
		}
		if h, err := k.Health(t.Context()); err == nil && (h.Uptime < 0 || len(h.Message) > 1024+3 || len(h.Status) > 20) {
			t.Errorf("health %+v", h)
		}
		fences, err := k.Bind(pluginapi.Instance{Platform: "p", Node: "n", App: "a"})
		for _, fence := range fences {
			if err != nil || !strings.Contains(fence.Name, "p.n.a") || strings.Contains(fence.Name, "/../") || strings.ContainsRune(fence.Name, 0) {
				t.Errorf("fence %+v", fence)
			}
		}
		if h, err := adapt.NewHook(t.Context(), s); err == nil {
			_ = h.Handle(t.Context(), pluginapi.HookEvent{Kind: pluginapi.HookActive})
		}
	})
}
