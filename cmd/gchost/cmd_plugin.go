package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
)

func (p *program) pluginCommand() *cobra.Command {
	c := &cobra.Command{Use: "plugin", Short: "Make, sign, check, install and show plugins"}
	needCommand(c)
	c.AddCommand(p.pluginKeygenCommand(), p.pluginPackCommand(), p.pluginSignCommand(), p.pluginVerifyCommand(), p.pluginInfoCommand())
	c.AddCommand(p.pluginNewCommand(), p.pluginTestCommand(), p.pluginBenchCommand(), p.pluginReplayCommand())
	c.AddCommand(p.platformPluginCommands()...)
	return c
}

// openPlugin opens a package or a folder and hands it to fn.
func openPlugin(path string, fn func(*manifest.Package) error) error {
	pkg, err := manifest.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("there is no plugin at %s: name a package, or a folder with a %s", path, manifest.FileName)
	}
	if err != nil {
		return err
	}
	return errors.Join(fn(pkg), pkg.Close())
}

// pluginShown is the JSON of plugin info.
type pluginShown struct {
	Name         string   `json:"name"`
	Version      string   `json:"version"`
	Contract     string   `json:"contract"`
	Runtime      string   `json:"runtime"`
	ABI          int      `json:"abi"`
	Description  string   `json:"description,omitempty"`
	File         string   `json:"file"`
	OS           string   `json:"os,omitempty"`
	Arch         string   `json:"arch,omitempty"`
	Digest       string   `json:"digest"`
	Size         int64    `json:"size"`
	Capabilities []string `json:"capabilities"`
	Events       []string `json:"events,omitempty"`
	SignedBy     string   `json:"signed_by,omitempty"` // the key that the signature names; see plugin verify
}

func pluginDoc(pkg *manifest.Package) pluginShown {
	m := pkg.Manifest
	doc := pluginShown{
		Name: m.Name, Version: m.Version, Contract: string(m.Contract), Runtime: string(m.Runtime), ABI: m.ABI,
		Description: strings.TrimSpace(m.Description), File: m.File, OS: m.OS, Arch: m.Arch,
		Digest: m.Digest.String(), Size: m.Size, Capabilities: m.Capabilities.Strings(),
	}
	for _, e := range m.Events {
		doc.Events = append(doc.Events, string(e))
	}
	if pkg.Signature != nil {
		doc.SignedBy = pkg.Signature.Key
	}
	return doc
}

func (p *program) pluginInfoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "info FILE|DIR|NAME",
		Short: "Show what a plugin is and what it asks for, or what the nodes have of it",
		Long: "Info shows the manifest of a package or of a folder. It believes what stands there: see\ngchost plugin verify. " +
			"With the name of an installed plugin, when no file is called like that, it shows\nwhat each node has of it.",
		Args: args("FILE|DIR|NAME"),
		RunE: func(c *cobra.Command, argv []string) error {
			if isName(argv[0]) {
				return p.showInstalled(c, argv[0])
			}
			return openPlugin(argv[0], func(pkg *manifest.Package) error {
				doc := pluginDoc(pkg)
				return p.print(doc, func(s *screen) { showPlugin(s, doc) })
			})
		},
	}
}

func showPlugin(s *screen, d pluginShown) {
	system, signed := "any", "nobody"
	if d.OS != "" {
		system = d.OS + "/" + d.Arch
	}
	if d.SignedBy != "" {
		signed = d.SignedBy
	}
	s.pairs([][2]string{
		{"plugin", d.Name + " " + d.Version}, {"contract", d.Contract}, {"runtime", fmt.Sprintf("%s, ABI %d", d.Runtime, d.ABI)},
		{"system", system}, {"file", fmt.Sprintf("%s, %d bytes", d.File, d.Size)}, {"digest", d.Digest}, {"signed by", signed},
		{"events", strings.Join(d.Events, " ")},
	})
	for _, line := range strings.Split(d.Description, "\n") {
		if line != "" {
			s.linef("  %s", line)
		}
	}
	s.gap()
	if len(d.Capabilities) == 0 {
		s.linef("asks for nothing")
		return
	}
	s.linef("asks for")
	for _, c := range d.Capabilities {
		s.linef("  %s", c)
	}
}

// pluginVerified is the JSON of plugin verify.
type pluginVerified struct {
	Plugin   pluginShown `json:"plugin"`
	SignedBy string      `json:"signed_by,omitempty"`
	Trusted  bool        `json:"trusted"` // by the keys of --trust
}

func (p *program) pluginVerifyCommand() *cobra.Command {
	var trust manifest.Trust
	c := &cobra.Command{
		Use:   "verify FILE|DIR|NAME",
		Short: "Check digest and signature of a plugin",
		Long: "Verify reads the whole plugin and compares it with its manifest, and the manifest with its\n" +
			"signature. With --trust the signature must be by one of these keys. It exits with 5 when\n" +
			"something is wrong. With the name of an installed plugin, when no file is called like that,\n" +
			"every node verifies what it has of it, and it exits with 6 when something is wrong.",
		Args: args("FILE|DIR|NAME"),
		RunE: func(c *cobra.Command, argv []string) error {
			if isName(argv[0]) {
				return p.verifyInstalled(c, argv[0])
			}
			for _, key := range trust.Keys {
				if err := manifest.CheckKey(key); err != nil {
					return usagef("--trust: %v", err)
				}
			}
			return openPlugin(argv[0], func(pkg *manifest.Package) error { return p.verifyPlugin(pkg, trust) })
		},
	}
	c.Flags().StringSliceVar(&trust.Keys, "trust", nil, "public keys, with commas between, one of which must have signed it")
	c.Flags().BoolVar(&trust.AllowUnsigned, "allow-unsigned", false, "accept a plugin without signature")
	return c
}

func (p *program) verifyPlugin(pkg *manifest.Package, trust manifest.Trust) error {
	doc := pluginVerified{Trusted: len(trust.Keys) > 0 && pkg.Signature != nil}
	if pkg.Signature != nil && len(trust.Keys) == 0 {
		trust.Keys = []string{pkg.Signature.Key} // whoever that is
	}
	if err := trust.Verify(pkg.Manifest, pkg.Signature); err != nil {
		return err
	}
	if err := pkg.Copy(io.Discard); err != nil {
		return err
	}
	doc.Plugin = pluginDoc(pkg)
	doc.SignedBy = doc.Plugin.SignedBy
	return p.print(doc, func(s *screen) {
		s.linef("OK  %s %s", doc.Plugin.Name, doc.Plugin.Version)
		switch {
		case doc.Trusted:
			s.linef("signed by %s, which is trusted", doc.SignedBy)
		case doc.SignedBy != "":
			s.linef("signed by %s: give --trust to say whom you trust", doc.SignedBy)
		default:
			s.linef("not signed")
		}
	})
}
