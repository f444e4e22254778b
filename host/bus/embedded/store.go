package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	storeFile = "store.json" // whose store it is
	lockFile  = "store.lock" // held locked by the process that runs the server
	probeSize = 1 << 20      // bytes that must fit at the start
	maxFile   = 4 << 10      // bytes of storeFile that are read
)

var errLocked = errors.New("another server runs on it: end that one, or choose another Dir")

// identity says whose store a folder holds. A server that finds another one
// must not open it: the streams of two platforms have different names, and a
// server with a wrong name is a stranger to its Raft groups. A store of a
// single server would even be wiped in a cluster, since no group knows its
// streams.
type identity struct {
	Platform string `json:"platform"`
	Server   string `json:"server"`
	Cluster  bool   `json:"cluster"`
}

func (c Config) identity() identity {
	return identity{c.Platform, c.Name, c.Cluster != nil}
}

// openStore makes the folder ready for a server and holds it for this process
// until the returned function is called.
func openStore(dir string, id identity) (closeStore func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w: choose another Dir, or make room for the folder", err)
	}
	lock, err := lockStore(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	if err := errors.Join(probe(dir), claim(dir, id)); err != nil {
		lock.Close()
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return func() { lock.Close() }, nil
}

// probe finds out at the start, not at the first write, that the disk is full
// or cannot be written to.
func probe(dir string) error {
	f, err := os.CreateTemp(dir, "probe-*")
	if err != nil {
		return fmt.Errorf("%w: the folder must be writable", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, probeSize))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write a probe of %d bytes: %w: free some space, or choose a Dir on another disk", probeSize, err)
	}
	return nil
}

// claim checks whose store it is, and makes a new one ours.
func claim(dir string, id identity) error {
	file := filepath.Join(dir, storeFile)
	found, err := readIdentity(file)
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, "jetstream")); err == nil {
			return fmt.Errorf("it holds a JetStream store without %s, so not one of ours: choose an empty Dir", storeFile)
		}
		return writeIdentity(dir, file, id)
	}
	if err != nil {
		return err
	}
	switch {
	case found.Platform != id.Platform:
		return fmt.Errorf("it is from another platform, %q, this is %q: choose another Dir", found.Platform, id.Platform)
	case found.Server != id.Server:
		return fmt.Errorf("it is from another server, %q, this is %q: choose another Dir, or keep the name", found.Server, id.Server)
	case found.Cluster && !id.Cluster:
		return errors.New("it is the store of a voter of a cluster, and Cluster is not set: keep Cluster, or choose an empty Dir")
	case !found.Cluster && id.Cluster:
		return errors.New("it is the store of a single server, whose streams a cluster would remove: choose an empty Dir, or leave Cluster out")
	}
	return nil
}

func readIdentity(file string) (id identity, err error) {
	f, err := os.Open(file)
	if err != nil {
		return id, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return id, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&id); err != nil {
		return id, fmt.Errorf("read %s: %w: it was damaged or is of another version: restore it, or choose an empty Dir", storeFile, err)
	}
	return id, nil
}

// writeIdentity leaves a whole file or none.
func writeIdentity(dir, file string, id identity) error {
	b, err := json.Marshal(id)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "store-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(b, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", storeFile, err)
	}
	return os.Rename(f.Name(), file)
}
