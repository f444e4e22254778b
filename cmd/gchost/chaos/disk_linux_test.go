package chaos

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDiskFull fills the disk of a leader's host while it runs. Its server
// gives up its store, which status says; the platform goes on, and the node
// takes no new leadership. With room again and a restart all is well.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{disk: "48m"}).start()
	victim := w.hosts[0]
	if w.leader(webApp) != victim {
		w.moveTo(victim)
	}
	at := w.now()
	victim.fillDisk()
	w.await(30*time.Second, "status says that the store has stopped", func() bool {
		return slices.ContainsFunc(victim.status().NATS.Warnings, func(text string) bool { return strings.Contains(text, "disk full") })
	})
	w.passed(w.now() + int64(2*w.o.ttl)) // whoever acts now has a lease that was renewed with the disk full
	now := w.leader(webApp)
	t.Logf("the disk of %s is full since %v: %s acts", victim.name, time.Duration(w.now()-at), now.name)
	if now == victim {
		w.stepDown()
	}
	for _, name := range w.others(victim.name) { // no way back as long as it cannot store an epoch
		if other := w.host(name); w.leader(webApp) == other {
			_, _ = other.command("stepdown", webApp)
		}
	}
	if now := w.leader(webApp); now == victim {
		t.Errorf("%s leads again with a full disk", victim.name)
	}
	if !victim.runs() {
		t.Fatalf("%s has ended: %v", victim.name, victim.proc.err)
	}
	victim.makeRoom()
	victim.ask()
	victim.end()
	victim.start()
	w.settle()
}

// mount gives the host a small disk for its data.
func (h *host) mount(size string) {
	h.w.t.Helper()
	if err := os.Mkdir(h.dataPath(), 0o700); err != nil {
		h.w.t.Fatal(err)
	}
	h.w.command("mount", "-t", "tmpfs", "-o", "mode=700,size="+size, "none", h.dataPath())
	h.w.t.Cleanup(func() { h.w.command("umount", "--lazy", h.dataPath()) })
}

func (h *host) ballast() string { return filepath.Join(h.dataPath(), "ballast") }

// fillDisk takes all room on the host's disk, and proves that there is none.
func (h *host) fillDisk() {
	h.w.t.Helper()
	f, err := os.OpenFile(h.ballast(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		h.w.t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 64<<10))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		h.w.t.Fatalf("fill the disk of %s: %v", h.name, err)
	}
	if err := os.WriteFile(filepath.Join(h.dataPath(), "more"), make([]byte, 64<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
		h.w.t.Fatalf("the disk of %s is not full: %v", h.name, err)
	}
}

func (h *host) makeRoom() {
	h.w.t.Helper()
	if err := os.Remove(h.ballast()); err != nil {
		h.w.t.Fatal(err)
	}
}
