package plugintest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/host/plugin/adapt"
	"github.com/ozanturksever/go-cluster/host/plugin/inproc"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// TestTheDocumentsPolicyInC compiles the C of docs/plugin-abi.md, as a reader of
// that page would, and has it pass the suite: the page is enough to write a
// plugin from, and the ABI is no matter of Go. The host here is as small as the
// page's description of one.
func TestTheDocumentsPolicyInC(t *testing.T) {
	module := compileC(t)
	cache := wazero.NewCompilationCache()
	defer cache.Close(t.Context())
	load := func(t plugintest.T) *inproc.Instance {
		fresh := func() inproc.Handler { return moduleOf(t, cache, module) }
		return inproc.New(fresh, wire.ContractPlacement, plugin.Options{Limits: plugin.Limits{Guests: 2, Call: 1 << 40}})
	}
	suite := plugintest.Policy{Reference: true, New: func(t plugintest.T) pluginapi.Policy {
		return must(adapt.NewPolicy(t.Context(), load(t)))(t)
	}}
	for _, c := range suite.Checks() {
		if c.Name != "failures keep their code" { // the page's policy fails for no app
			t.Run(c.Name, func(t *testing.T) { c.Run(t) })
		}
	}
	plugintest.Operations{Contract: wire.ContractPlacement, New: func(t plugintest.T) plugintest.Caller { return load(t) }}.Run(t)
	t.Run("stale table", func(t *testing.T) {
		i := load(t)
		_, err := i.Call(t.Context(), wire.OpRank, (&wire.Rank{Epoch: 9}).Append(nil))
		_, err2 := i.Call(t.Context(), wire.OpCandidates, (&wire.Candidates{Base: 8, Epoch: 9}).Append(nil))
		if !errors.Is(err, pluginapi.ErrStale) || !errors.Is(err2, pluginapi.ErrStale) {
			t.Errorf("rank: %v; a difference: %v", err, err2)
		}
	})
}

// compileC takes the C and the command from the page.
func compileC(t *testing.T) []byte {
	t.Helper()
	page, err := os.ReadFile("../../docs/plugin-abi.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "```c\n")
	source, _, end := strings.Cut(rest, "\n```")
	i := strings.Index(string(page), "    clang-")
	if !ok || !end || i < 0 {
		t.Fatal("docs/plugin-abi.md has no C, or no command for it")
	}
	command, _, _ := strings.Cut(string(page)[i:], "\n")
	words := strings.Fields(command)
	if _, err := exec.LookPath(words[0]); err != nil {
		t.Skipf("no compiler of C for WebAssembly: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "label-score.c"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	cc := exec.CommandContext(t.Context(), words[0], append([]string{"-Wall", "-Werror"}, words[1:]...)...)
	cc.Dir = dir
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	module, err := os.ReadFile(filepath.Join(dir, "label-score.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// moduleOf is one guest of a module, with no more of a host than the page's
// section 1 says.
func moduleOf(t plugintest.T, cache wazero.CompilationCache, module []byte) inproc.Handler {
	ctx := context.WithoutCancel(t.Context())
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache))
	t.Cleanup(func() {
		if err := r.Close(ctx); err != nil {
			t.Errorf("%v", err)
		}
	})
	var in, out []byte
	view := func(m api.Module, ptr, n uint32) []byte {
		b, ok := m.Memory().Read(ptr, n)
		if !ok {
			panic(fmt.Sprintf("%d bytes at %#x are outside of the memory", n, ptr))
		}
		return b
	}
	_, err := r.NewHostModuleBuilder("gchost").
		NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, ptr, n uint32) uint32 {
		n = min(n, uint32(len(in)))
		copy(view(m, ptr, n), in[:n])
		in = in[n:]
		return n
	}).Export("input_read").
		NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, ptr, n uint32) {
		out = append(out, view(m, ptr, n)...)
	}).Export("output_write").Instantiate(ctx)
	if err != nil {
		t.Errorf("%v", err)
	}
	m, err := r.Instantiate(ctx, module)
	if err != nil || m.ExportedFunction("gchost_abi_v1") == nil || m.Memory() == nil {
		t.Errorf("instantiate: %v, exports %v", err, m)
	}
	return func(ctx context.Context, op string, input []byte) ([]byte, error) {
		fn := m.ExportedFunction("gc_" + op)
		if fn == nil {
			return nil, pluginapi.ErrNoMethod
		}
		in, out = input, nil
		result, err := fn.Call(ctx, uint64(len(input)))
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", pluginapi.ErrPluginCrashed, err)
		case result[0] == 1:
			return nil, wire.ReadFailure(slices.Clone(out))
		case result[0] != 0:
			return nil, fmt.Errorf("%w: it returned %d", pluginapi.ErrPluginProtocol, result[0])
		}
		return out, nil
	}
}
