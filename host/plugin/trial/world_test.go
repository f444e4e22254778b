package trial

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// A plugin that fills its world is told so, and what it gives back it can use
// again.
func TestWorldIsBounded(t *testing.T) {
	w := &World{}
	kv := w.Services().KV
	put := func(key string, n int) error { return kv.Put(t.Context(), key, make([]byte, n)) }
	for i := range 60 {
		if err := put(strings.Repeat("k", i+1), 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if err := put("more", 8<<20); !errors.Is(err, pluginapi.ErrTooLarge) {
		t.Errorf("over the bound: %v", err)
	}
	if err := put("k", 2<<20); err != nil {
		t.Errorf("a larger value within the bound: %v", err)
	}
	for i := range 60 {
		if err := kv.Delete(t.Context(), strings.Repeat("k", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if w.bytes != 0 {
		t.Errorf("%d bytes in an empty store", w.bytes)
	}
	if err := put("more", 63<<20); err != nil {
		t.Errorf("after deleting: %v", err)
	}
	for range maxKept + 5 {
		w.note("http", "x", nil)
	}
	if n := len(w.Notes()); n != maxKept {
		t.Errorf("%d notes are kept", n)
	}
}

func TestWorldStore(t *testing.T) {
	kv := (&World{}).Services().KV
	value := []byte("one")
	if err := errors.Join(kv.Put(t.Context(), "a.2", value), kv.Put(t.Context(), "a.1", nil), kv.Put(t.Context(), "b", nil)); err != nil {
		t.Fatal(err)
	}
	value[0] = 'X'
	got, err := kv.Get(t.Context(), "a.2")
	if err != nil || string(got) != "one" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := kv.Get(t.Context(), "c"); !errors.Is(err, pluginapi.ErrKeyNotFound) {
		t.Errorf("no key: %v", err)
	}
	if keys, err := kv.Keys(t.Context(), "a."); err != nil || !slices.Equal(keys, []string{"a.1", "a.2"}) {
		t.Errorf("%q, %v", keys, err)
	}
}
