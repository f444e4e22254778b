package wire_test

import (
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// message is what every message of the wire can do.
type message interface {
	Append(dst []byte) []byte
	Decode(b []byte) error
}

// messages are all of them, by the name that plugin.proto gives them.
func messages() map[string]func() message {
	return map[string]func() message{
		"Error":        func() message { return new(wire.Error) },
		"Description":  func() message { return new(wire.Description) },
		"Configure":    func() message { return new(wire.Configure) },
		"Candidates":   func() message { return new(wire.Candidates) },
		"Rank":         func() message { return new(wire.Rank) },
		"Ranking":      func() message { return new(wire.Ranking) },
		"HookEvent":    func() message { return new(wire.Event) },
		"Bind":         func() message { return new(wire.Bind) },
		"Fences":       func() message { return new(wire.Fences) },
		"Start":        func() message { return new(wire.Start) },
		"Stop":         func() message { return new(wire.Stop) },
		"Status":       func() message { return new(wire.Status) },
		"Key":          func() message { return new(wire.Key) },
		"KeyValue":     func() message { return new(wire.KeyValue) },
		"Value":        func() message { return new(wire.Value) },
		"Keys":         func() message { return new(wire.Keys) },
		"Publish":      func() message { return new(wire.Publish) },
		"Call":         func() message { return new(wire.Call) },
		"HTTPRequest":  func() message { return new(wire.HTTPRequest) },
		"HTTPResponse": func() message { return new(wire.HTTPResponse) },
		"ExecRequest":  func() message { return new(wire.ExecRequest) },
		"ExecResult":   func() message { return new(wire.ExecResult) },
		"Clock":        func() message { return new(wire.Clock) },
		"Random":       func() message { return new(wire.Random) },
	}
}

// structOf is the struct that holds a message's fields.
func structOf(m any) reflect.Value {
	if e, ok := m.(*wire.Event); ok {
		return reflect.ValueOf(&e.HookEvent).Elem()
	}
	return reflect.ValueOf(m).Elem()
}

// randomize fills a value with all there can be, empty and zero things too.
func randomize(r *rand.Rand, v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time:
		if r.IntN(3) > 0 {
			v.Set(reflect.ValueOf(time.UnixMilli(r.Int64()>>r.IntN(63) + 1).UTC()))
		}
		return
	case *pluginapi.Member:
		if r.IntN(2) > 0 {
			v.Set(reflect.ValueOf(new(pluginapi.Member)))
			randomize(r, v.Elem())
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			randomize(r, v.Field(i))
		}
	case reflect.String:
		v.SetString(randomText(r))
	case reflect.Bool:
		v.SetBool(r.IntN(2) > 0)
	case reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> r.IntN(64))
	case reflect.Uint64:
		v.SetUint(r.Uint64() >> r.IntN(64))
	case reflect.Slice:
		if n := max(0, r.IntN(6)-2); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
		}
		for i := range v.Len() {
			randomize(r, v.Index(i))
		}
	case reflect.Uint8:
		v.SetUint(uint64(r.IntN(256)))
	case reflect.Map:
		for range max(0, r.IntN(5)-1) {
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			v.SetMapIndex(reflect.ValueOf(randomText(r)), reflect.ValueOf(randomText(r)))
		}
	default:
		panic("no random " + v.Type().String())
	}
}

func randomText(r *rand.Rand) string {
	const letters = "abc-_.Z9 äß€😀"
	runes := []rune(letters)
	n := r.IntN(12)
	if r.IntN(10) == 0 {
		n = r.IntN(300)
	}
	out := make([]rune, n)
	for i := range out {
		out[i] = runes[r.IntN(len(runes))]
	}
	return string(out)
}

func randomMessage(r *rand.Rand, fresh func() message) message {
	m := fresh()
	randomize(r, structOf(m))
	return m
}
