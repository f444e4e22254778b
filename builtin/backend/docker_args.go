package backend

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ozanturksever/go-cluster/builtin/backend/engine"
)

// runOption is an option of "docker run" that ExtraArgs may have.
type runOption struct {
	names []string
	flag  bool // it has no value
	set   func(s *engine.Spec, value string) error
}

func runOptions() []runOption {
	list := func(of func(*engine.Spec) *[]string) func(*engine.Spec, string) error {
		return func(s *engine.Spec, v string) error {
			l := of(s)
			*l = append(*l, v)
			return nil
		}
	}
	text := func(of func(*engine.Spec) *string) func(*engine.Spec, string) error {
		return func(s *engine.Spec, v string) error {
			*of(s) = v
			return nil
		}
	}
	flag := func(of func(*engine.Spec) *bool) func(*engine.Spec, string) error {
		return func(s *engine.Spec, _ string) error {
			*of(s) = true
			return nil
		}
	}
	return []runOption{
		{[]string{"--init"}, true, flag(func(s *engine.Spec) *bool { return &s.HostConfig.Init })},
		{[]string{"--privileged"}, true, flag(func(s *engine.Spec) *bool { return &s.HostConfig.Privileged })},
		{[]string{"--read-only"}, true, flag(func(s *engine.Spec) *bool { return &s.HostConfig.ReadonlyRootfs })},
		{[]string{"--user", "-u"}, false, text(func(s *engine.Spec) *string { return &s.User })},
		{[]string{"--workdir", "-w"}, false, text(func(s *engine.Spec) *string { return &s.WorkingDir })},
		{[]string{"--hostname", "-h"}, false, text(func(s *engine.Spec) *string { return &s.Hostname })},
		{[]string{"--stop-signal"}, false, text(func(s *engine.Spec) *string { return &s.StopSignal })},
		{[]string{"--ipc"}, false, text(func(s *engine.Spec) *string { return &s.HostConfig.IpcMode })},
		{[]string{"--runtime"}, false, text(func(s *engine.Spec) *string { return &s.HostConfig.Runtime })},
		{[]string{"--entrypoint"}, false, list(func(s *engine.Spec) *[]string { return &s.Entrypoint })},
		{[]string{"--cap-add"}, false, list(func(s *engine.Spec) *[]string { return &s.HostConfig.CapAdd })},
		{[]string{"--cap-drop"}, false, list(func(s *engine.Spec) *[]string { return &s.HostConfig.CapDrop })},
		{[]string{"--security-opt"}, false, list(func(s *engine.Spec) *[]string { return &s.HostConfig.SecurityOpt })},
		{[]string{"--add-host"}, false, list(func(s *engine.Spec) *[]string { return &s.HostConfig.ExtraHosts })},
		{[]string{"--dns"}, false, list(func(s *engine.Spec) *[]string { return &s.HostConfig.DNS })},
		{[]string{"--group-add"}, false, list(func(s *engine.Spec) *[]string { return &s.HostConfig.GroupAdd })},
		{[]string{"--shm-size"}, false, func(s *engine.Spec, v string) (err error) {
			s.HostConfig.ShmSize, err = parseSize(v)
			return err
		}},
		{[]string{"--tmpfs"}, false, func(s *engine.Spec, v string) error {
			path, options, _ := strings.Cut(v, ":")
			return put(&s.HostConfig.Tmpfs, path, options)
		}},
		{[]string{"--sysctl"}, false, func(s *engine.Spec, v string) error {
			key, value, _ := strings.Cut(v, "=")
			return put(&s.HostConfig.Sysctls, key, value)
		}},
	}
}

func put(m *map[string]string, key, value string) error {
	if key == "" {
		return fault("it has an empty name")
	}
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[key] = value
	return nil
}

// extra applies options of "docker run".
func (f *dockerFaults) extra(s *engine.Spec, args []string) {
	options := runOptions()
	for i := 0; i < len(args); i++ {
		name, value, has := strings.Cut(args[i], "=")
		at := slices.IndexFunc(options, func(o runOption) bool { return slices.Contains(o.names, name) })
		if at < 0 {
			f.add("ExtraArgs has %.200q: known are %s; for the rest there are fields", args[i], optionNames(options))
			return // what follows may be its value
		}
		o := options[at]
		switch {
		case o.flag && has && value != "true":
			f.add("ExtraArgs has %.200q: leave it out, or write %s alone", args[i], name)
			continue
		case !o.flag && !has:
			if i++; i == len(args) {
				f.add("ExtraArgs ends with %s: its value is missing", name)
				return
			}
			value = args[i]
		}
		if strings.ContainsRune(value, 0) || !o.flag && value == "" {
			f.add("ExtraArgs has %s with the value %.200q", name, value)
			continue
		}
		if err := o.set(s, value); err != nil {
			f.add("ExtraArgs has %s %.200q: %w", name, value, err)
		}
	}
}

func optionNames(options []runOption) string {
	var names []string
	for _, o := range options {
		names = append(names, o.names[0])
	}
	return fmt.Sprint(strings.Join(names, " "))
}
