package main

import (
	"fmt"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	rules "github.com/ozanturksever/go-cluster/host/plugin/failure"
	commands "github.com/ozanturksever/go-cluster/host/plugin/grant/command"
	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/pluginapi"
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
	for name, path := range sorted(p.Secrets) {
		at := keyPath("plugins.secrets", name)
		k.name(at, "secret", name)
		k.file(at, path)
	}
	for i, c := range p.Commands {
		at := fmt.Sprintf("plugins.commands[%d]", i)
		k.name(at+".name", "command", c.Name)
		if _, err := commands.New(map[string]commands.Command{c.Name: c.command()}); err != nil {
			k.fault(at, "%s", plainText(err))
		}
	}
}

func (c CommandConfig) command() commands.Command {
	return commands.Command{Argv: c.Argv, Args: c.Args, Dir: c.Dir, Timeout: c.Timeout}
}

// options are what the library is told.
func (p PluginsConfig) options() cluster.PluginsConfig {
	out := cluster.PluginsConfig{Trust: p.Trust, Unsigned: p.AllowUnsigned, Local: p.Dir, Grants: map[string][]string{}}
	for _, g := range p.Grants {
		out.Grants[g.Plugin] = g.Capabilities
	}
	out.Secrets, out.Commands = p.Secrets, map[string]commands.Command{}
	for _, c := range p.Commands {
		out.Commands[c.Name] = c.command()
	}
	return out
}

// pluginUses checks what an app uses plugins for.
func (k *checker) pluginUses(key string, a AppConfig) {
	seen := map[string]string{}
	once := func(at, name string) {
		k.name(at, "plugin", name)
		if first, ok := seen[name]; ok && name != "" {
			k.fault(at, "%q is used in %s too: an app uses a plugin once", name, first)
		}
		seen[name] = at
	}
	for i, h := range a.Hooks.Plugins {
		at := fmt.Sprintf("%s.hooks.plugins[%d]", key, i)
		once(at+".name", h.Name)
		if h.OnError != "" {
			k.oneOf(at+".on_error", h.OnError, string(rules.Ignore), string(rules.Fail))
		}
		if h.Timeout != 0 {
			k.within(at+".timeout", h.Timeout, 10*time.Millisecond, time.Hour)
		}
		if h.Retries < 0 || h.Retries > rules.MaxRetries {
			k.fault(at+".retries", "%d is out of range: give 0 to %d", h.Retries, rules.MaxRetries)
		}
		for _, e := range h.Events {
			k.oneOf(at+".events", e, hookKinds()...)
		}
	}
	if p := a.Backend.Plugin; p != nil {
		once(key+".backend.plugin.name", p.Name)
	}
	if a.Placement.Policy != "" {
		once(key+".placement.policy", a.Placement.Policy)
		if a.Mode == modeSpread {
			k.fault(key+".placement.policy", "ranks nodes for a leader: an app that is spread has none")
		}
	} else if a.Placement.Config != "" {
		k.fault(key+".placement.config", "is of no use without placement.policy")
	}
}

func hookKinds() (words []string) {
	for _, k := range pluginapi.HookKinds() {
		words = append(words, string(k))
	}
	return words
}

// pluginOptions are what the library is told of the plugins of an app.
func (a AppConfig) pluginOptions() (opts []cluster.AppOption) {
	for _, h := range a.Hooks.Plugins {
		o := cluster.HookPlugin{Name: h.Name, Config: []byte(h.Config), Timeout: h.Timeout, OnError: h.OnError, Retries: h.Retries}
		for _, e := range h.Events {
			o.Events = append(o.Events, cluster.HookKind(e))
		}
		opts = append(opts, cluster.WithHookPlugin(o))
	}
	if p := a.Backend.Plugin; p != nil {
		opts = append(opts, cluster.WithBackendPlugin(p.Name, []byte(p.Config)))
	}
	if a.Placement.Policy != "" {
		opts = append(opts, cluster.WithPolicyPlugin(a.Placement.Policy, []byte(a.Placement.Config)))
	}
	return opts
}
