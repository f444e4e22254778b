package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The modes of an app.
const (
	modeSingleton = "singleton"
	modeSpread    = "spread"
)

const maxApps = 1000

func (k *checker) apps(apps []AppConfig) {
	if len(apps) > maxApps {
		k.fault("apps", "there are %d: the most allowed is %d", len(apps), maxApps)
		return
	}
	seen, databases := map[string]int{}, map[string]int{}
	for i, a := range apps {
		key := fmt.Sprintf("apps[%d]", i)
		k.name(key+".name", "app", a.Name)
		if first, ok := seen[a.Name]; ok && a.Name != "" {
			k.fault(key+".name", "%q is the name of apps[%d] too: give each its own", a.Name, first)
		} else {
			seen[a.Name] = i
		}
		k.oneOf(key+".mode", a.Mode, modeSingleton, modeSpread)
		k.within(key+".hook_timeout", a.HookTimeout, 100*time.Millisecond, time.Hour)
		k.hooks(key, a)
		if a.SQLite != nil {
			k.sqlite(i, a, databases)
		}
		k.backend(key, a)
		k.pluginUses(key, a)
	}
}

// sqlite checks the database of apps[i]; owners has those of the apps before it.
func (k *checker) sqlite(i int, a AppConfig, owners map[string]int) {
	key := fmt.Sprintf("apps[%d].sqlite", i)
	k.within(key+".snapshot_interval", a.SQLite.SnapshotInterval, 10*time.Second, 7*24*time.Hour)
	k.within(key+".retention", a.SQLite.Retention, 10*time.Second, 366*24*time.Hour)
	if n := a.SQLite.AlarmMiB; n < 1 || n > 1<<30 {
		k.fault(key+".alarm_mib", "%d is out of range: give 1 or more", n)
	}
	path := filepath.Clean(a.SQLite.Path)
	first, taken := owners[path]
	switch {
	case a.SQLite.Path == "":
		k.fault(key+".path", "is missing: give the full path of the database, the same on each node")
		return
	case a.Mode == modeSpread:
		k.fault(key, "of a spread app: a database that is replicated has one writer, make the app a singleton")
	case taken:
		k.fault(key+".path", "%.200q is the database of apps[%d] too: give each app its own", a.SQLite.Path, first)
	}
	owners[path] = i
	k.file(key+".path", a.SQLite.Path)
}

// hook is one hook that is set.
type hook struct {
	key  string
	argv []string
}

// all lists the hooks that are set.
func (h HooksConfig) all() (set []hook) {
	for _, x := range []hook{
		{"on_active", h.OnActive}, {"on_passive", h.OnPassive}, {"on_start", h.OnStart}, {"on_stop", h.OnStop},
		{"on_leader_change", h.OnLeaderChange}, {"on_member_join", h.OnMemberJoin}, {"on_member_leave", h.OnMemberLeave},
	} {
		if x.argv != nil {
			set = append(set, x)
		}
	}
	return set
}

func (k *checker) hooks(key string, a AppConfig) {
	leading := []string{"on_active", "on_passive", "on_leader_change"}
	for _, h := range a.Hooks.all() {
		at := key + ".hooks." + h.key
		k.argv(at, h.argv)
		switch {
		case a.Mode == modeSpread && slices.Contains(leading, h.key):
			k.fault(at, "never runs: a spread app has no leader, use on_start and on_stop")
		case a.Mode == modeSingleton && h.key == "on_start":
			k.fault(at, "never runs: a singleton becomes active or passive, use on_active")
		}
	}
}

// argv checks a command with its arguments.
func (k *checker) argv(key string, argv []string) {
	if len(argv) == 0 {
		k.fault(key, "is empty: give the program and its arguments, [/usr/bin/prog, arg]")
		return
	}
	k.program(key+"[0]", argv[0], "")
	k.noZero(key, argv)
}

// program is a path, or a name that is looked up in PATH.
func (k *checker) program(key, s, dir string) {
	switch {
	case s == "":
		k.fault(key, "is empty: give the program to run")
	case strings.ContainsRune(s, filepath.Separator) && !filepath.IsAbs(s) && dir == "":
		k.fault(key, "%.200q is relative: give the full path of the program", s)
	}
}

func (k *checker) noZero(key string, list []string) {
	for i, s := range list {
		if strings.ContainsRune(s, 0) {
			k.fault(fmt.Sprintf("%s[%d]", key, i), "has a zero byte: no program or argument can have one")
		}
	}
}

func (k *checker) process(key string, p ProcessConfig) {
	k.program(key+".command", p.Command, p.Dir)
	if strings.ContainsRune(p.Command, 0) {
		k.fault(key+".command", "has a zero byte: no program can have one")
	} else if strings.ContainsAny(p.Command, " \t") && len(p.Args) == 0 {
		k.fault(key+".command", "%.200q holds a blank: put the arguments into args", p.Command)
	}
	k.noZero(key+".args", p.Args)
	k.dir(key+".dir", p.Dir)
	k.file(key+".log_file", p.LogFile)
	k.env(key+".env", p.Env)
	k.within(key+".graceful_timeout", p.GracefulTimeout, 10*time.Millisecond, time.Hour)
	k.ready(key+".ready", p.Ready)
	k.restart(key+".restart", p.Restart)
}

func (k *checker) ready(key string, r ReadyConfig) {
	if r.ways() == 0 {
		if r.Interval != 0 || r.Timeout != 0 || r.Exec != nil {
			k.fault(key, "has nothing to check: give http, tcp or exec")
		}
		return
	}
	if r.HTTP != "" {
		u, err := url.Parse(r.HTTP)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || !isHost(u.Hostname()) {
			k.fault(key+".http", "%.200q is no URL to fetch: write http://127.0.0.1:8080/health", redact(r.HTTP))
		}
	}
	if r.TCP != "" {
		k.hostPort(key+".tcp", r.TCP, 1)
	}
	if r.Exec != nil {
		k.argv(key+".exec", r.Exec)
	}
	k.within(key+".interval", r.Interval, 10*time.Millisecond, time.Minute)
	k.within(key+".timeout", r.Timeout, 10*time.Millisecond, 5*time.Minute)
}
