package main

import (
	"fmt"

	cluster "github.com/ozanturksever/go-cluster"
	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
)

// plugins checks which plugins may run.
func (k *checker) plugins(p PluginsConfig) {
	for i, key := range p.Trust {
		if err := manifest.CheckKey(key); err != nil {
			k.fault(fmt.Sprintf("plugins.trust[%d]", i), "%s", plainText(err))
		}
	}
	k.dir("plugins.dir", p.Dir)
	seen := map[string]bool{}
	for i, g := range p.Grants {
		at := fmt.Sprintf("plugins.grants[%d]", i)
		k.name(at+".plugin", "plugin", g.Plugin)
		if seen[g.Plugin] {
			k.fault(at+".plugin", "%s is there twice: put all its capabilities into one list", g.Plugin)
		}
		seen[g.Plugin] = true
		if _, err := capability.ParseSet(g.Capabilities); err != nil {
			k.fault(at+".capabilities", "%s", plainText(err))
		}
	}
}

// options are what the library is told.
func (p PluginsConfig) options() cluster.PluginsConfig {
	out := cluster.PluginsConfig{Trust: p.Trust, Unsigned: p.AllowUnsigned, Local: p.Dir, Grants: map[string][]string{}}
	for _, g := range p.Grants {
		out.Grants[g.Plugin] = g.Capabilities
	}
	return out
}
