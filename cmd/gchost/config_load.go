package main

import (
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// Options say where a configuration is read from.
type Options struct {
	File    string            // the file to read; "" looks along Search
	Search  []string          // files to look for; that none exists is fine
	Environ []string          // NAME=value
	Flags   map[string]string // path of a setting -> its value on the command line
	Machine Machine           // what defaults are taken from
}

// Origin says where the value of a setting comes from.
type Origin struct {
	Where string // "gchost.yaml:7", "environment NATS_URL", "flag --nats"
	line  int    // of the file; 0 for the rest
}

// Origins know where each setting that is not a default comes from.
type Origins struct {
	set    map[string]source
	around map[string]source // the sections that hold settings
}

// Of returns the origin of a key, or of the nearest key around it that was
// given; the zero Origin for a default.
func (o Origins) Of(key string) Origin {
	for ; key != ""; key = parent(key) {
		for _, from := range []map[string]source{o.set, o.around} {
			if s, ok := from[key]; ok {
				return s.place(key)
			}
		}
	}
	return Origin{}
}

// source is one layer of the configuration. A later one goes over an earlier.
type source struct {
	k      *koanf.Koanf
	isFile bool
	place  func(path string) Origin
}

// noDelim keeps koanf from taking a dot in a key, of a label say, for nesting.
const noDelim = "\x00"

// Load reads file, environment and flags, in this order of precedence from the
// lowest, over the defaults, and returns the effective configuration: every
// default is filled in, and Validate has nothing to say.
//
// # Errors
//
// [Faults], all at once, for whatever is wrong with the contents; another error
// when the file cannot be read.
func Load(opts Options) (Config, Origins, error) {
	sources, faults, err := readSources(opts)
	if err != nil {
		return Config{}, Origins{}, err
	}
	merged, origins := koanf.New(noDelim), Origins{map[string]source{}, map[string]source{}}
	for _, s := range sources {
		faults = append(faults, s.check(origins)...)
		if err := merged.Merge(s.k); err != nil {
			return Config{}, Origins{}, fmt.Errorf("merge configuration: %w", err)
		}
	}
	cfg, d := Defaults(), decoder{}
	d.value(reflect.ValueOf(&cfg).Elem(), merged.Raw(), "")
	cfg.fill(opts.Machine)
	var invalid Faults
	if errors.As(cfg.Validate(), &invalid) {
		faults = append(faults, locate(invalid, origins, faults)...)
	}
	if err := faults.err(); err != nil {
		return Config{}, Origins{}, err
	}
	return cfg, origins, nil
}

// readSources reads each source by itself. What cannot be parsed at all is
// left out, and its faults are returned.
func readSources(opts Options) (sources []source, faults Faults, err error) {
	path, err := findFile(opts.File, opts.Search)
	if err != nil {
		return nil, nil, err
	}
	if path != "" {
		s, bad, err := readFile(path)
		if err != nil {
			return nil, nil, err
		}
		sources, faults = append(sources, s), append(faults, bad...)
	}
	env, bad := fromEnviron(opts.Environ)
	faults = append(faults, bad...)
	flags := newGiven()
	for path, value := range sorted(opts.Flags) {
		flags.put(path, value, "flag --"+flagOf(path))
	}
	for _, g := range []given{env, flags} {
		k := koanf.New(noDelim)
		if err := k.Load(g.values, nil); err != nil {
			return nil, nil, fmt.Errorf("read configuration: %w", err)
		}
		sources = append(sources, source{k, false, func(path string) Origin {
			for ; path != ""; path = parent(path) {
				if where, ok := g.where[path]; ok {
					return Origin{Where: where}
				}
			}
			return Origin{}
		}})
	}
	return sources, faults, nil
}

func readFile(path string) (source, Faults, error) {
	k, parser := koanf.New(noDelim), &yamlFile{}
	err := k.Load(file.Provider(path), parser)
	var faults Faults
	if errors.As(err, &faults) {
		for i := range faults {
			faults[i].Where = place(path, faults[i].order)
		}
	} else if err != nil {
		return source{}, nil, fmt.Errorf("read configuration: %w", err)
	}
	find := sync.OnceValue(func() *finder { return newFinder(parser.text) })
	return source{k, true, func(key string) Origin {
		for ; key != ""; key = parent(key) {
			if n := find().line(key); n > 0 {
				return Origin{place(path, n), n}
			}
		}
		return Origin{Where: path}
	}}, faults, nil
}

func place(path string, line int) string {
	if line == 0 {
		return path
	}
	return fmt.Sprintf("%s:%d", path, line)
}

// behindFile orders the faults that have no line of the file.
const behindFile = 1 << 30

// check decodes one source by itself, returns its faults with their places, and
// notes the origins of what it sets.
func (s source) check(origins Origins) Faults {
	var (
		alone Config
		d     decoder
	)
	d.value(reflect.ValueOf(&alone).Elem(), s.k.Raw(), "")
	for i, f := range d.faults {
		o := s.place(f.Key)
		d.faults[i].Where, d.faults[i].order = o.Where, o.rank()
	}
	for _, path := range d.set {
		origins.set[path] = s
	}
	for _, path := range d.sections {
		if s.isFile {
			origins.around[path] = s
		}
	}
	return d.faults
}

func (o Origin) rank() int {
	if o.line > 0 {
		return o.line
	}
	return behindFile
}

// locate gives the faults of Validate the places of their keys and drops those
// that only follow from a fault already known.
func locate(invalid Faults, origins Origins, known Faults) (out Faults) {
	for _, f := range invalid {
		if known.touches(f.Key) {
			continue
		}
		o := origins.Of(f.Key)
		f.Where, f.order = o.Where, o.rank()
		out = append(out, f)
	}
	return out
}
