package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// CheckFiles looks for what the configuration names on this machine: files of
// keys and certificates, programs, folders. The error is a [Faults]; origins
// give each one its place.
func (c Config) CheckFiles(origins Origins) error {
	k := &checker{}
	for _, f := range []struct{ key, path string }{
		{"nats.creds", c.NATS.Creds}, {"nats.nkey", c.NATS.NKey}, {"cluster.secret_file", c.Cluster.SecretFile},
		{"nats.tls.ca", c.NATS.TLS.CA}, {"nats.tls.cert", c.NATS.TLS.Cert}, {"nats.tls.key", c.NATS.TLS.Key},
		{"cluster.tls.ca", c.Cluster.TLS.CA}, {"cluster.tls.cert", c.Cluster.TLS.Cert}, {"cluster.tls.key", c.Cluster.TLS.Key},
	} {
		k.readable(f.key, f.path)
	}
	if c.Cluster.SecretFile != "" && !k.faults.touches("cluster.secret_file") {
		if _, err := c.Cluster.ReadSecret(); err != nil {
			k.fault("cluster.secret_file", "%s", err)
		}
	}
	for i, a := range c.Apps {
		key := fmt.Sprintf("apps[%d]", i)
		for _, h := range a.Hooks.all() {
			k.runnable(key+".hooks."+h.key, h.argv[0])
		}
		if p := a.Backend.Process; p != nil {
			k.processFiles(key+".backend.process", *p)
		}
	}
	return locate(k.faults, origins, nil).err()
}

func (k *checker) processFiles(key string, p ProcessConfig) {
	if p.Dir != "" {
		if info, err := os.Stat(p.Dir); err != nil {
			k.fault(key+".dir", "%s", reason(err, p.Dir))
		} else if !info.IsDir() {
			k.fault(key+".dir", "%s is no folder", p.Dir)
		}
	}
	command := p.Command
	if p.Dir != "" && strings.ContainsRune(command, filepath.Separator) && !filepath.IsAbs(command) {
		command = filepath.Join(p.Dir, command)
	}
	k.runnable(key+".command", command)
	if len(p.Ready.Exec) > 0 {
		k.runnable(key+".ready.exec", p.Ready.Exec[0])
	}
}

// runnable looks for a program; a name without a slash is looked up in PATH.
func (k *checker) runnable(key, program string) {
	if _, err := exec.LookPath(program); err != nil {
		k.fault(key, "%s", reason(err, program))
	}
}

func (k *checker) readable(key, path string) {
	if path == "" {
		return
	}
	f, err := os.Open(path)
	if err != nil {
		k.fault(key, "%s", reason(err, path))
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		k.fault(key, "%s is a folder, want a file", path)
	}
}

// reason says in a few words why a file cannot be used.
func reason(err error, path string) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path + " does not exist"
	case errors.Is(err, exec.ErrNotFound):
		return path + " is not in PATH"
	case errors.Is(err, fs.ErrPermission):
		return path + " may not be used by this user: permission denied"
	}
	return err.Error()
}

// maxSecretFile is the longest file of a cluster secret, in bytes.
const maxSecretFile = 4096

// ReadSecret returns the cluster secret from where the configuration has it:
// in itself or in a file, there without blanks around it. "" means that none
// is given, so that the host makes one.
//
// # Errors
//
// The file cannot be read, others than its owner may read or write it, or the
// secret is too short.
func (c ClusterConfig) ReadSecret() (Secret, error) {
	if c.SecretFile == "" {
		return c.Secret, nil
	}
	f, err := os.Open(c.SecretFile)
	if err != nil {
		return "", fmt.Errorf("read cluster secret: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("read cluster secret: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o027 != 0 && runtime.GOOS != "windows" {
		return "", fmt.Errorf("read cluster secret: others may use %s (mode %04o): chmod 600", c.SecretFile, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("read cluster secret: %w", err)
	}
	if len(text) > maxSecretFile {
		return "", fmt.Errorf("read cluster secret: %s has more than %d bytes: is it the right file?", c.SecretFile, maxSecretFile)
	}
	secret := strings.TrimSpace(string(text))
	if len(secret) < minSecret {
		return "", fmt.Errorf("read cluster secret: %s has %d bytes, give %d or more", c.SecretFile, len(secret), minSecret)
	}
	return Secret(secret), nil
}

// Advice is what is allowed in the configuration and better done otherwise.
func (c Config) Advice() (out []string) {
	if c.External() && c.LeaseTTL < ttlExternal {
		out = append(out, fmt.Sprintf("lease_ttl: %s with an existing NATS: a stock server needs up to 8 s to find a new stream leader, and leases that end before that change hands for nothing; the default is %s", short(c.LeaseTTL), short(ttlExternal)))
	}
	if !c.External() && !c.Joins() && c.Cluster.Raft == "wan" && c.LeaseTTL < ttlExternal {
		out = append(out, fmt.Sprintf("lease_ttl: %s with cluster.raft wan: its servers need up to 9 s to find a new stream leader; give %s or more", short(c.LeaseTTL), short(ttlExternal)))
	}
	return out
}
