package host

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// dataDir is the folder of one node. While it is open, no other process can
// open it, so that whoever holds it knows that every earlier life of the node
// in it is over.
type dataDir struct {
	path string
	lock *os.File
	id   identity
}

// identity is stored in the folder when it is first used.
type identity struct {
	Platform string `json:"platform"`
	Node     string `json:"node"`
	Home     string `json:"home"` // a random name of this folder
}

const (
	lockFile     = "lock"
	identityFile = "node.json"
	epochFolder  = "epochs"
)

// openData opens the folder, and makes it if there is none.
func openData(path, platform, node string) (*dataDir, error) {
	if err := os.MkdirAll(filepath.Join(path, epochFolder), 0o700); err != nil {
		return nil, fmt.Errorf("open data directory: %w: give a folder that this user may write to (data_dir)", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open data directory: %w: give a folder that this user may write to (data_dir)", err)
	}
	if err := lockExclusive(lock); err != nil {
		lock.Close()
		return nil, fmt.Errorf("open data directory %s: %w: another process uses it: stop it, or give each node a folder of its own", path, err)
	}
	d := &dataDir{path: path, lock: lock}
	if err := d.identify(platform, node); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *dataDir) close() {
	d.lock.Close()
}

func (d *dataDir) identify(platform, node string) error {
	file := filepath.Join(d.path, identityFile)
	body, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		d.id = identity{platform, node, rand.Text()}
		return writeDurable(file, d.id)
	}
	if err != nil {
		return fmt.Errorf("read identity of data directory: %w", err)
	}
	if err := json.Unmarshal(body, &d.id); err != nil {
		return fmt.Errorf("read identity of data directory: %s: %w: it is damaged: move the folder away to begin anew", file, err)
	}
	if d.id.Platform != platform || d.id.Node != node || d.id.Home == "" {
		return fmt.Errorf("%w: data directory %s belongs to node %s of platform %s, not to node %s of platform %s: give this node a folder of its own (data_dir), or correct node and platform",
			pluginapi.ErrInvalid, d.path, d.id.Node, d.id.Platform, node, platform)
	}
	return nil
}

type savedEpoch struct {
	Epoch pluginapi.Epoch `json:"epoch"`
}

// epoch returns the highest epoch in which the app was led from here.
func (d *dataDir) epoch(app string) (pluginapi.Epoch, error) {
	file := d.epochFile(app)
	body, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read epoch of %s: %w", app, err)
	}
	var s savedEpoch
	if err := json.Unmarshal(body, &s); err != nil {
		return 0, fmt.Errorf("read epoch of %s: %s: %w: it is damaged: move it away, the platform's record decides then", app, file, err)
	}
	return s.Epoch, nil
}

// saveEpoch stores an epoch before anything is done in it. It refuses to go
// down: the store was rewound.
func (d *dataDir) saveEpoch(app string, epoch pluginapi.Epoch) error {
	last, err := d.epoch(app)
	if err != nil {
		return err
	}
	if epoch < last {
		return fmt.Errorf("save epoch of %s: %d is lower than %d, which this node has led in", app, epoch, last)
	}
	return writeDurable(d.epochFile(app), savedEpoch{epoch})
}

func (d *dataDir) epochFile(app string) string {
	return filepath.Join(d.path, epochFolder, app+".json")
}

// writeDurable replaces a file so that it is whole after a power cut: before,
// or after, never in between.
func writeDurable(file string, doc any) error {
	body, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	_, err = tmp.Write(append(body, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("write %s: %w", file, err)
	}
	return syncFolder(filepath.Dir(file))
}
