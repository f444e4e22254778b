package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
)

// maxSeedFile is the longest file with a seed, in bytes.
const maxSeedFile = 4 << 10

// pluginKey is the JSON of plugin keygen.
type pluginKey struct {
	Key  string `json:"key"`  // public, for plugins.trust
	File string `json:"file"` // holds the seed
}

func (p *program) pluginKeygenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keygen FILE",
		Short: "Make a key to sign plugins with",
		Long:  "Keygen writes the secret seed into a new file that only you can read, and shows the public\nkey, which belongs into plugins.trust of every node.",
		Args:  args("FILE"),
		RunE: func(_ *cobra.Command, argv []string) error {
			public, seed, err := manifest.NewKey()
			if err != nil {
				return err
			}
			f, err := os.OpenFile(argv[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if errors.Is(err, fs.ErrExist) {
				return usagef("%s is there already, and may be the only copy of a key: name a new file", argv[0])
			}
			if err != nil {
				return fmt.Errorf("write seed: %w", err)
			}
			_, err = f.WriteString(seed + "\n")
			if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
				return fmt.Errorf("write seed: %w", err)
			}
			doc := pluginKey{public, argv[0]}
			return p.print(doc, func(s *screen) { s.pairs([][2]string{{"public key", doc.Key}, {"seed, secret", doc.File}}) })
		},
	}
}

// readSeed reads a file that keygen has written.
func readSeed(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read seed: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxSeedFile {
		return "", usagef("--key: %s holds no seed: name a file that \"gchost plugin keygen\" has made", path)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return "", usagef("--key: other users can read %s: chmod 600 it", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read seed: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// signPlugin signs an opened plugin with the seed in a file.
func signPlugin(pkg *manifest.Package, keyFile string) error {
	seed, err := readSeed(keyFile)
	if err != nil {
		return err
	}
	s, err := manifest.Sign(pkg.Manifest, seed)
	if err != nil {
		return err
	}
	pkg.Signature = &s
	return nil
}

// writeWhole writes a file that is there as a whole, or as it was before.
func writeWhole(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".gchost-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	err = write(f)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}

// pluginMade is the JSON of plugin sign and plugin pack.
type pluginMade struct {
	Plugin pluginShown `json:"plugin"`
	File   string      `json:"file"` // that was written
}

func (p *program) showMade(pkg *manifest.Package, file string) error {
	doc := pluginMade{pluginDoc(pkg), file}
	return p.print(doc, func(s *screen) {
		s.linef("OK  %s", file)
		if doc.Plugin.SignedBy == "" {
			s.linef("not signed: nodes refuse it unless plugins.allow_unsigned is set")
			return
		}
		s.linef("signed by %s", doc.Plugin.SignedBy)
	})
}

func (p *program) pluginSignCommand() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use:   "sign FILE|DIR",
		Short: "Sign a plugin",
		Long:  "Sign writes plugin.sig into the folder, or writes the package again with the signature. The\nsignature covers the manifest, and with its digest the plugin's file.",
		Args:  args("FILE|DIR"),
		RunE: func(_ *cobra.Command, argv []string) error {
			if key == "" {
				return usagef("--key is missing: name a file that \"gchost plugin keygen\" has made")
			}
			return openPlugin(argv[0], func(pkg *manifest.Package) error {
				if err := signPlugin(pkg, key); err != nil {
					return err
				}
				out, write := argv[0], pkg.Write
				if info, err := os.Stat(argv[0]); err == nil && info.IsDir() {
					out = filepath.Join(argv[0], manifest.SignatureName)
					write = func(w io.Writer) error { _, err := w.Write(pkg.Signature.Text()); return err }
				}
				if err := writeWhole(out, write); err != nil {
					return err
				}
				return p.showMade(pkg, out)
			})
		},
	}
	c.Flags().StringVar(&key, "key", "", "file with the secret seed")
	return c
}

func (p *program) pluginPackCommand() *cobra.Command {
	var key, out string
	c := &cobra.Command{
		Use:   "pack DIR",
		Short: "Make one file of a plugin",
		Long: "Pack writes plugin.yaml, with digest and size of the plugin's file, the signature, and the\n" +
			"file into one package. It signs with --key; without it, it takes the plugin.sig of the\n" +
			"folder, which must fit.",
		Args: args("DIR"),
		RunE: func(_ *cobra.Command, argv []string) error {
			return openPlugin(argv[0], func(pkg *manifest.Package) error {
				switch {
				case key != "":
					if err := signPlugin(pkg, key); err != nil {
						return err
					}
				case pkg.Signature != nil:
					if err := pkg.Signature.Check(pkg.Manifest); err != nil {
						return fmt.Errorf("%w: sign it again with --key, or remove %s", err, manifest.SignatureName)
					}
				}
				if out == "" {
					out = pkg.Manifest.Name + "-" + pkg.Manifest.Version + ".gcplugin"
				}
				if err := writeWhole(out, pkg.Write); err != nil {
					return err
				}
				return p.showMade(pkg, out)
			})
		},
	}
	c.Flags().StringVar(&key, "key", "", "file with the secret seed to sign with")
	c.Flags().StringVar(&out, "out", "", "file to write (default NAME-VERSION.gcplugin)")
	return c
}
