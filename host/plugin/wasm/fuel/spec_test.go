package fuel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// TestSpec runs the WebAssembly core suite, as wazero's module carries it, twice:
// as it is and metered. Each command has to have the same outcome. One file in
// so many is run; with FUEL_SPEC=all it is every one.
func TestSpec(t *testing.T) {
	const sample = 60
	dir := specDir(t)
	spectest, err := os.ReadFile(filepath.Join(dir, "testdata", "spectest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	var total tally
	for _, version := range []string{"v1", "v2"} {
		files, err := filepath.Glob(filepath.Join(dir, version, "testdata", "*.json"))
		if err != nil || len(files) < 50 {
			t.Fatalf("%d files of the suite, %v", len(files), err)
		}
		for i, f := range files {
			if os.Getenv("FUEL_SPEC") == "all" || i%sample == 0 || slices.Contains(always, filepath.Base(f)) {
				total.add(runSpec(t, version, f, spectest))
			}
		}
	}
	t.Logf("%+v", total)
	if total.modules < 80 || total.returns < 1000 || total.traps < 20 {
		t.Errorf("the sample is too small to prove something: %+v", total)
	}
}

// always are the files whose subject is what the rewriter changes.
var always = []string{
	"bulk.json", "elem.json", "func_ptrs.json", "loop.json", "linking.json", "start.json", "ref_func.json",
	"table_grow.json", "table_init.json", "memory_fill.json", "call_indirect.json", "names.json", "br_table.json",
}

// specDir finds wazero's sources.
func specDir(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	dir := filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest")
	if err == nil {
		_, err = os.Stat(dir)
	}
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("wazero's sources are not there:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

type specCommand struct {
	Type, Name, Filename, As string
	Line                     int
	ModuleType               string `json:"module_type"`
	Action                   struct {
		Type, Field, Module string
		Args                []specValue
	}
}

type specValue struct {
	Type  string
	Lane  string `json:"lane_type"`
	Value any
}

type tally struct{ files, modules, refused, returns, traps int }

func (t *tally) add(o tally) {
	t.files += o.files
	t.modules += o.modules
	t.refused += o.refused
	t.returns += o.returns
	t.traps += o.traps
}

// world is one run of a file: a runtime with its modules.
type world struct {
	rt   wazero.Runtime
	form func([]byte) ([]byte, error) // how a module is changed before it is loaded
	mods map[string]api.Module
	last api.Module
}

func runSpec(t *testing.T, version, file string, spectest []byte) (n tally) {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var script struct{ Commands []specCommand }
	if err := json.Unmarshal(raw, &script); err != nil {
		t.Fatal(err)
	}
	config := wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2)
	if version == "v1" {
		config = config.WithCoreFeatures(api.CoreFeaturesV1)
	}
	endless := &meter{slice: Slice, budget: -1}
	plain := &world{rt: newRuntime(t, endless, config), form: func(b []byte) ([]byte, error) { return b, nil }}
	metered := &world{rt: newRuntime(t, endless, config), form: func(b []byte) ([]byte, error) { return Instrument(b, Options{}) }}
	for _, w := range []*world{plain, metered} {
		w.mods = make(map[string]api.Module)
		if _, err := w.rt.InstantiateWithConfig(context.Background(), spectest, wazero.NewModuleConfig()); err != nil {
			t.Fatal(err)
		}
	}
	n.files++
	for i, c := range script.Commands {
		as := ""
		if i+1 < len(script.Commands) && script.Commands[i+1].Type == "register" {
			as = script.Commands[i+1].As
		}
		dir := filepath.Dir(file)
		p, m := plain.run(dir, c, as), metered.run(dir, c, as)
		if p != m {
			t.Errorf("%s %s:%d %s %s\nplain   %s\nmetered %s", version, filepath.Base(file), c.Line, c.Type, c.Action.Field, p, m)
		}
		switch {
		case strings.HasPrefix(p, "trap"):
			n.traps++
		case strings.HasPrefix(p, "returns"):
			n.returns++
		case p == "loaded":
			n.modules++
		case p == "refused":
			n.refused++
		}
	}
	return n
}

// run gives the outcome of a command in words.
func (w *world) run(dir string, c specCommand, as string) string {
	ctx := context.Background()
	switch {
	case c.Type == "register" || c.ModuleType == "text":
		return ""
	case c.Filename != "":
		b, err := fs.ReadFile(os.DirFS(dir), c.Filename)
		if err != nil {
			return err.Error()
		}
		if b, err = w.form(b); err != nil {
			return "refused"
		}
		if c.Type != "module" {
			as = ""
		}
		m, err := w.rt.InstantiateWithConfig(ctx, b, wazero.NewModuleConfig().WithName(as))
		if err != nil {
			return "refused"
		}
		if c.Type == "module" {
			w.last = m
			w.mods[c.Name] = m
		}
		return "loaded"
	}
	m := w.last
	if c.Action.Module != "" {
		m = w.mods[c.Action.Module]
	}
	if m == nil {
		return "no module"
	}
	if c.Action.Type == "get" {
		return fmt.Sprint("returns ", m.ExportedGlobal(c.Action.Field).Get())
	}
	return invoke(m.ExportedFunction(c.Action.Field), c.Action.Args)
}

func invoke(fn api.Function, values []specValue) string {
	var args []uint64
	for _, v := range values {
		args = append(args, v.words()...)
	}
	results, err := fn.Call(context.Background(), args...)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n") // below it is a trace, with indices
		return "trap " + first
	}
	at := 0
	for _, typ := range fn.Definition().ResultTypes() {
		switch typ {
		case api.ValueTypeExternref, 0x70: // a reference is another address in each run
			results[at] = min(results[at], 1)
		case 0x7b:
			at++
		}
		at++
	}
	return fmt.Sprint("returns ", results)
}

// words are the bits of an argument.
func (v specValue) words() []uint64 {
	lanes, ok := v.Value.([]any)
	if !ok {
		s, _ := v.Value.(string)
		return []uint64{bits(v.Type, s)}
	}
	words := make([]uint64, 2)
	width := 128 / len(lanes)
	for i, l := range lanes {
		words[i*width/64] |= bits(v.Lane, l.(string)) & (1<<width - 1) << (i * width % 64)
	}
	return words
}

func bits(typ, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		i, err := strconv.ParseInt(s, 10, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return 0 // null, a NaN by name
		}
		n = uint64(i)
	}
	switch {
	case typ == "externref":
		return n + 1
	case strings.HasSuffix(typ, "32"):
		return uint64(uint32(n))
	}
	return n
}
