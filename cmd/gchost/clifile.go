package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ozanturksever/go-cluster/host/control"
)

// cliFile is how a command finds the host of its machine: <data_dir>/cli.json,
// readable by the host's user only. A host writes it when its embedded server
// is up.
type cliFile struct {
	Platform    string   `json:"platform"`
	Node        string   `json:"node"`
	URLs        []string `json:"urls"` // of servers of the platform, this host's first
	User        string   `json:"user"`
	Password    string   `json:"password"`
	InboxPrefix string   `json:"inbox_prefix"` // of the inboxes that this user may have
	TLS         struct {
		CA   string `json:"ca"` // files in PEM
		Cert string `json:"cert"`
		Key  string `json:"key"`
	} `json:"tls"`
}

const maxCLIFile = 64 << 10 // bytes

// readCLIFile reads the file of the host that keeps its state in a folder.
//
// # Errors
//
// An error that wraps control.ErrUnreachable when there is none, this user may
// not read it, or it holds something else.
func readCLIFile(dataDir string) (cliFile, error) {
	path := filepath.Join(dataDir, "cli.json")
	unreachable := func(format string, args ...any) (cliFile, error) {
		return cliFile{}, fmt.Errorf("%w: %w", control.ErrUnreachable, fmt.Errorf(format, args...))
	}
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return unreachable("no host has run with the data folder %s: start one with gchost run, or name another with --data-dir, or a NATS with --nats", dataDir)
	case errors.Is(err, fs.ErrPermission):
		return unreachable("%s is for the user of the host only: run this command as that user", path)
	case err != nil:
		return unreachable("open cli.json: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCLIFile+1))
	if err != nil {
		return unreachable("read cli.json: %w", err)
	}
	var c cliFile
	if err := json.Unmarshal(text, &c); err != nil {
		return unreachable("read %s: it is not what a host of this version writes, start the host again: %w", path, err)
	}
	if len(text) > maxCLIFile || len(c.URLs) == 0 {
		return unreachable("read %s: it is too long or names no server, start the host again", path)
	}
	return c, nil
}
