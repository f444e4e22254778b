package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

func open(t *testing.T, dir string) *dataDir {
	t.Helper()
	d, err := openData(dir, "p", "n1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d
}

// A folder keeps its identity, and one process at a time has it.
func TestDataIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	d := open(t, dir)
	home := d.id.Home
	if len(home) < 16 {
		t.Errorf("home %q", home)
	}
	if _, err := openData(dir, "p", "n1"); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("opened twice: %v", err)
	}
	d.close()
	if d = open(t, dir); d.id.Home != home {
		t.Errorf("home %q, was %q", d.id.Home, home)
	}
	d.close()
	for _, other := range [][2]string{{"p", "n2"}, {"q", "n1"}} {
		if _, err := openData(dir, other[0], other[1]); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("opened as %v: %v", other, err)
		}
	}
	d = open(t, dir) // a refusal gives the lock back
	d.close()
	if other := open(t, t.TempDir()); other.id.Home == home {
		t.Error("two folders have one home")
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, %v: others must not read it", info.Mode(), err)
	}
}

// Epochs of a folder never go down, and a damaged file is told, not overlooked.
func TestDataEpochs(t *testing.T) {
	d := open(t, t.TempDir())
	want := func(app string, epoch pluginapi.Epoch) {
		t.Helper()
		if got, err := d.epoch(app); got != epoch || err != nil {
			t.Errorf("epoch of %s: %d, %v; want %d", app, got, err, epoch)
		}
	}
	want("web", 0)
	for _, e := range []pluginapi.Epoch{3, 3, 7} {
		if err := d.saveEpoch("web", e); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.saveEpoch("web", 6); err == nil || !strings.Contains(err.Error(), "6 is lower than 7") {
		t.Errorf("went down: %v", err)
	}
	want("web", 7)
	want("db", 0)
	if err := os.WriteFile(d.epochFile("web"), []byte("{\"epo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.epoch("web"); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged: %v", err)
	}
	if err := d.saveEpoch("web", 8); err == nil {
		t.Error("a damaged file was written over")
	}
}

// What was seen is stored and found again; it never goes down either.
func TestSeenEpochs(t *testing.T) {
	d := open(t, t.TempDir())
	n := &Node{data: d, seen: newSeenEpochs()}
	if err := d.loadSeen(n.seen); err != nil || len(n.seen.all()) != 0 {
		t.Errorf("an empty folder: %v, %v", n.seen.all(), err)
	}
	for _, e := range []pluginapi.Epoch{2, 9, 4} {
		n.seen.add("web", e)
	}
	n.seen.add("db", 1)
	n.keepEpochs(ended(t)) // stores once more when its context has ended
	again := newSeenEpochs()
	if err := d.loadSeen(again); err != nil || again.all()["web"] != 9 || again.all()["db"] != 1 {
		t.Errorf("found %v, %v", again.all(), err)
	}
	if err := os.WriteFile(filepath.Join(d.path, seenFile), []byte("["), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.loadSeen(newSeenEpochs()); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged: %v", err)
	}
}

// A file that is replaced is whole at every moment, also under many writers,
// and nothing is left beside it.
func TestWriteDurable(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f.json")
	if err := writeDurable(file, savedEpoch{1}); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			body, err := os.ReadFile(file)
			if err != nil || !strings.HasPrefix(string(body), `{"epoch":`) || !strings.HasSuffix(string(body), "}\n") {
				t.Errorf("read %q, %v", body, err)
				return
			}
		}
	})
	for i := range 4 {
		writers.Go(func() {
			for k := range 20 {
				if err := writeDurable(file, savedEpoch{pluginapi.Epoch(100*i + k)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if err := writeDurable(filepath.Join(dir, "no", "f"), savedEpoch{}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("write %s", filepath.Join(dir, "no", "f"))) {
		t.Errorf("into no folder: %v", err)
	}
	if err := writeDurable(file, func() {}); err == nil {
		t.Error("what has no JSON form was written")
	}
}
