package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// seenFile, in the data directory, holds the newest epoch of each app that this
// node has seen, whoever led in it: when the store is lost, the node that
// begins anew need not be the one that led last.
const seenFile = "seen.json"

// seenEpochs are the epochs that this node has seen, to be stored soon.
type seenEpochs struct {
	mu     sync.Mutex
	newest map[string]pluginapi.Epoch
	signal chan struct{}
}

func newSeenEpochs() *seenEpochs {
	return &seenEpochs{newest: map[string]pluginapi.Epoch{}, signal: make(chan struct{}, 1)}
}

// add never waits.
func (s *seenEpochs) add(app string, epoch pluginapi.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch <= s.newest[app] {
		return
	}
	s.newest[app] = epoch
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

func (s *seenEpochs) all() map[string]pluginapi.Epoch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.newest)
}

// keepEpochs stores what was seen, all of it at once, until the context ends.
func (n *Node) keepEpochs(ctx context.Context) {
	for more := true; more; {
		select {
		case <-n.seen.signal:
		case <-ctx.Done():
			more = false
		}
		if err := writeDurable(filepath.Join(n.data.path, seenFile), n.seen.all()); err != nil {
			n.log.Warn("store epochs", "err", err)
		}
	}
}

// loadSeen reads what an earlier life of this node has seen.
func (d *dataDir) loadSeen(to *seenEpochs) error {
	file := filepath.Join(d.path, seenFile)
	body, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read epochs: %w", err)
	}
	var found map[string]pluginapi.Epoch
	if err := json.Unmarshal(body, &found); err != nil {
		return fmt.Errorf("read epochs: %s: %w: it is damaged: move it away, the platform's records decide then", file, err)
	}
	for app, epoch := range found {
		to.add(app, epoch)
	}
	return nil
}
