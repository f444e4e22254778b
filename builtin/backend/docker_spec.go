package backend

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/builtin/backend/engine"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Labels of our containers.
const (
	labelOwn      = "gchost."
	labelInstance = "gchost.instance"
	labelSpec     = "gchost.spec" // what the container was made from, as a digest
)

var containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,199}$`)

// spec makes the engine's words of a configuration, and collects what is wrong
// with it.
func (c DockerConfig) spec() (engine.Spec, error) {
	var f dockerFaults
	s := engine.Spec{
		Image: c.Image, Cmd: c.Command, Env: c.Env, Labels: maps.Clone(c.Labels),
		HostConfig: engine.HostConfig{Binds: c.Volumes, NetworkMode: c.Network, RestartPolicy: engine.RestartPolicy{Name: "no"}},
	}
	f.texts(c)
	f.ports(&s, c.Ports)
	f.health(&s, c.HealthCheck)
	f.resources(&s.HostConfig, c.Resources)
	f.extra(&s, c.ExtraArgs)
	f.times(c)
	f.restart(c.Restart)
	return s, errors.Join(f.faults...)
}

// dockerFaults collects what is wrong with a DockerConfig.
type dockerFaults struct{ faults }

func (f *dockerFaults) add(format string, args ...any) {
	f.faults = append(f.faults, fmt.Errorf("%w: docker: "+format, append([]any{pluginapi.ErrInvalid}, args...)...))
}

func (f *dockerFaults) texts(c DockerConfig) {
	if c.Image == "" || strings.ContainsAny(c.Image, " \t\n\x00") {
		f.add("Image is %.200q: give an image like postgres:16", c.Image)
	}
	if c.Name != "" && !containerName.MatchString(c.Name) {
		f.add("Name is %.200q: use letters, digits, and _ . - after the first one, at most 200", c.Name)
	}
	for _, e := range c.Env {
		if key, _, ok := strings.Cut(e, "="); !ok || key == "" || strings.ContainsRune(e, 0) {
			f.add("Env entry %.200q is not KEY=VALUE", e)
		} else if ownVariable(key) {
			f.add("Env entry %.200q: the host sets this variable, leave it out", e)
		}
	}
	for _, v := range c.Volumes {
		from, to, ok := strings.Cut(v, ":")
		to, _, _ = strings.Cut(to, ":")
		if !ok || from == "" || !strings.HasPrefix(to, "/") || strings.ContainsRune(v, 0) {
			f.add("Volumes entry %.200q: write /folder/here:/folder/there or volume:/folder/there, with :ro if it is for reading only", v)
		} else if strings.Contains(from, "/") && !filepath.IsAbs(from) {
			f.add("Volumes entry %.200q: %.200q is relative: give the full path", v, from)
		}
	}
	for key := range c.Labels {
		if key == "" || strings.HasPrefix(key, labelOwn) {
			f.add("Labels key %.200q: it must not be empty or begin with %q", key, labelOwn)
		}
	}
	if strings.HasPrefix(c.Network, "container:") {
		f.add("Network is %.200q: the network of another container would end with it: give a network's name, host or none", c.Network)
	}
	if !filepath.IsAbs(c.Socket) || strings.ContainsRune(c.Socket, 0) {
		f.add("Socket is %.200q: give the full path of the engine's Unix socket", c.Socket)
	}
}

func (f *dockerFaults) ports(s *engine.Spec, ports []string) {
	for _, p := range ports {
		key, binding, err := parsePort(p)
		if err != nil {
			f.add("Ports entry %.200q: %w", p, err)
			continue
		}
		if s.ExposedPorts == nil {
			s.ExposedPorts, s.HostConfig.PortBindings = map[string]struct{}{}, map[string][]engine.PortBinding{}
		}
		s.ExposedPorts[key] = struct{}{}
		s.HostConfig.PortBindings[key] = append(s.HostConfig.PortBindings[key], binding)
	}
}

// parsePort reads [ip:]port:port[/protocol].
func parsePort(p string) (key string, b engine.PortBinding, err error) {
	const form fault = "write HOST:CONTAINER, as in 8080:80, 127.0.0.1:8080:80, [::1]:8080:80, 53:53/udp"
	p, protocol, ok := strings.Cut(p, "/")
	if !ok {
		protocol = "tcp"
	}
	if protocol != "tcp" && protocol != "udp" && protocol != "sctp" {
		return "", b, form
	}
	i := strings.LastIndexByte(p, ':')
	if i < 0 {
		return "", b, form
	}
	host, inside := p[:i], p[i+1:]
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		ip, err := netip.ParseAddr(strings.Trim(host[:i], "[]"))
		if err != nil {
			return "", b, form
		}
		b.HostIP, host = ip.String(), host[i+1:]
	}
	for _, n := range []string{host, inside} {
		if v, err := strconv.ParseUint(n, 10, 16); err != nil || v == 0 {
			return "", b, form
		}
	}
	b.HostPort = host
	return inside + "/" + protocol, b, nil
}

func (f *dockerFaults) health(s *engine.Spec, h *DockerHealthCheck) {
	if h == nil {
		return
	}
	how := "CMD"
	switch {
	case len(h.Cmd) == 0 || h.Cmd[0] == "":
		f.add("HealthCheck.Cmd is empty: give a command, or leave HealthCheck out")
	case len(h.Cmd) == 1:
		how = "CMD-SHELL"
	}
	for _, d := range []time.Duration{h.Interval, h.Timeout, h.StartPeriod} {
		if d != 0 && d < time.Millisecond {
			f.add("HealthCheck has a time of %v: give 1ms or more, or 0 for the default", d)
		}
	}
	if h.Retries < 0 {
		f.add("HealthCheck.Retries is %d: give 1 or more, or 0 for the default", h.Retries)
	}
	s.Healthcheck = &engine.Healthcheck{
		Test:     append([]string{how}, h.Cmd...),
		Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries,
	}
}

func (f *dockerFaults) resources(h *engine.HostConfig, r *DockerResources) {
	if r == nil {
		return
	}
	var err error
	if h.Memory, err = parseSize(r.Memory); err != nil {
		f.add("Resources.Memory is %.100q: %w", r.Memory, err)
	}
	if r.MemorySwap == "-1" {
		h.MemorySwap = -1
	} else if h.MemorySwap, err = parseSize(r.MemorySwap); err != nil {
		f.add("Resources.MemorySwap is %.100q: %w, or -1", r.MemorySwap, err)
	}
	if !(r.CPUs >= 0 && r.CPUs <= 1e5) {
		f.add("Resources.CPUs is %v: give a number of cores like 1.5, or 0 for no limit", r.CPUs)
	} else {
		h.NanoCpus = int64(math.Round(r.CPUs * 1e9))
	}
	if r.PIDs < 0 {
		f.add("Resources.PIDs is %d: give 1 or more, or 0 for no limit", r.PIDs)
	}
	h.PidsLimit = int64(r.PIDs)
}

// parseSize reads a number of bytes with a unit of 1024; "" is 0.
func parseSize(s string) (int64, error) {
	const form fault = "give bytes, or a number with k, m or g"
	if s == "" {
		return 0, nil
	}
	digits := strings.ToLower(strings.TrimSuffix(strings.ToLower(s), "b"))
	unit := int64(1)
	for i, u := range "kmgt" {
		if strings.HasSuffix(digits, string(u)) {
			digits, unit = strings.TrimSuffix(digits, string(u)), 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/unit {
		return 0, form
	}
	return n * unit, nil
}

func (f *dockerFaults) times(c DockerConfig) {
	for name, d := range map[string]time.Duration{"StopTimeout": c.StopTimeout, "StartTimeout": c.StartTimeout} {
		if d < 0 {
			f.add("%s is %v: give a duration above 0, or 0 for the default", name, d)
		}
	}
}

func (f *dockerFaults) restart(r RestartPolicy) {
	if r.MaxRestarts < 0 || r.Window < 0 || r.Delay < 0 || r.Backoff != 0 && !(r.Backoff >= 1 && r.Backoff <= maxBackoff) {
		f.add("Restart is %+v: its fields are 0 for the default, or above; Backoff is 1 to %d", r, maxBackoff)
	}
}
