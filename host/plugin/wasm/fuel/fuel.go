package fuel

import "fmt"

// The function that a rewritten module imports, of type () -> (i64). It returns
// the size of the next slice, more than 0, or traps.
const (
	MeterModule = "gchost_meter"
	MeterRefill = "refill"
)

// Slice is a good size of a slice. At most so many instructions run between two
// refills. That is 0.1 ms of arithmetic, and 5 to 20 ms for a guest that is made
// to wait for memory with every fourth.
const Slice = 1 << 17

// Options bound the module. A value of 0 is replaced by its default.
type Options struct {
	Module    int // bytes of the module, and half of those of its metered form; 16 MiB
	Functions int // functions, with the imported ones; 100,000
	Body      int // bytes of one function; 1 MiB
	Tables    int // tables; 8
	Entries   int // entries of each table, also after it has grown; 262,144
}

func (o Options) withDefaults() Options {
	set := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&o.Module, 16<<20)
	set(&o.Functions, 100_000)
	set(&o.Body, 1<<20)
	set(&o.Tables, 8)
	set(&o.Entries, 1<<18)
	return o
}

// Refusal is why a module is not taken: where, what, and how to mend it. It is
// the only error of [Instrument].
type Refusal struct {
	Section string // "" for the module as a whole
	Offset  int    // of the byte in the module
	What    string
	Mend    string
}

// Error says all of it in one line.
func (r *Refusal) Error() string {
	where := "module"
	if r.Section != "" {
		where = fmt.Sprintf("module, %s section", r.Section)
	}
	text := fmt.Sprintf("%s, byte %#x: %s", where, r.Offset, r.What)
	if r.Mend != "" {
		text += "; " + r.Mend
	}
	return text
}

// Instrument returns the metered form of a module. It checks what it needs to
// know and no more: whether the module is valid is for the compiler to say, and
// it says the same of both forms.
//
// A module without functions of its own has nothing to meter: it is checked and
// returned as it is, without the import. The argument is never changed.
//
// # Errors
//
// A [*Refusal] of what is not WebAssembly 2.0, of what is over the bounds of o, of
// an index that is out of range, of an import from gchost_meter and of an export
// whose name begins with gc_meter.
func Instrument(mod []byte, o Options) ([]byte, error) {
	o = o.withDefaults()
	if len(mod) > o.Module {
		return nil, &Refusal{What: fmt.Sprintf("%d bytes, allowed are %d", len(mod), o.Module),
			Mend: "strip it (-ldflags='-s -w', -Wl,--strip-all), or build it for size"}
	}
	m, err := split(mod)
	if err != nil {
		return nil, err
	}
	m.limits = o
	if err := m.rewrite(); err != nil {
		return nil, err
	}
	if !m.metered {
		return mod, nil
	}
	return m.out, nil
}
