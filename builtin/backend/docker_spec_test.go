package backend

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// What a configuration becomes in the engine's words.
func TestDockerSpec(t *testing.T) {
	cfg := DockerConfig{
		Image: "postgres:16", Network: "db", Env: []string{"A=1"}, Volumes: []string{"data:/data:ro"}, Command: []string{"postgres"},
		Ports: []string{"8080:80", "127.0.0.1:8443:443", "[::1]:53:53/udp"}, Labels: map[string]string{"a": "b"},
		ExtraArgs:   []string{"--init", "--user=nobody", "--cap-drop", "ALL", "--shm-size=64m", "--tmpfs", "/tmp:size=1m", "--sysctl", "net.a=1", "--read-only=true", "-w", "/srv"},
		HealthCheck: &DockerHealthCheck{Cmd: []string{"pg_isready", "-q"}, Interval: time.Second, Retries: 3},
		Resources:   &DockerResources{Memory: "512m", MemorySwap: "-1", CPUs: 1.5, PIDs: 99},
	}
	spec, err := cfg.withDefaults().spec()
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"Image":"postgres:16","Cmd":["postgres"],"Env":["A=1"],"Labels":{"a":"b"},` +
		`"ExposedPorts":{"443/tcp":{},"53/udp":{},"80/tcp":{}},"User":"nobody","WorkingDir":"/srv",` +
		`"Healthcheck":{"Test":["CMD","pg_isready","-q"],"Interval":1000000000,"Retries":3},` +
		`"HostConfig":{"Binds":["data:/data:ro"],"PortBindings":{"443/tcp":[{"HostIp":"127.0.0.1","HostPort":"8443"}],` +
		`"53/udp":[{"HostIp":"::1","HostPort":"53"}],"80/tcp":[{"HostPort":"8080"}]},"NetworkMode":"db","RestartPolicy":{"Name":"no"},` +
		`"Memory":536870912,"MemorySwap":-1,"NanoCpus":1500000000,"PidsLimit":99,"Init":true,"ReadonlyRootfs":true,"CapDrop":["ALL"],` +
		`"ShmSize":67108864,"Tmpfs":{"/tmp":"size=1m"},"Sysctls":{"net.a":"1"}}}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	cfg.Labels["a"], cfg.Env[0] = "changed", "A=changed" // after NewDocker they are the caller's again
}

// Every fault is told, all at once, and no fault passes.
func TestDockerValidate(t *testing.T) {
	for says, c := range map[string]DockerConfig{
		"Image":               {},
		"Name":                {Name: "../x"},
		"KEY=VALUE":           {Env: []string{"A"}},
		"the host sets":       {Env: []string{"GCHOST_INSTANCE=x"}},
		"Volumes":             {Volumes: []string{"/a:b"}},
		"is relative":         {Volumes: []string{"a/b:/b"}},
		"Labels":              {Labels: map[string]string{"gchost.instance": "x"}},
		"another container":   {Network: "container:x"},
		"Socket":              {Socket: "sock"},
		"Ports":               {Ports: []string{"80"}},
		`"0:80"`:              {Ports: []string{"0:80"}},
		`"x:1:80"`:            {Ports: []string{"x:1:80"}},
		`"1:2/icmp"`:          {Ports: []string{"1:2/icmp"}},
		"HealthCheck.Cmd":     {HealthCheck: &DockerHealthCheck{}},
		"Retries":             {HealthCheck: &DockerHealthCheck{Cmd: []string{"x"}, Retries: -1}},
		"HealthCheck has":     {HealthCheck: &DockerHealthCheck{Cmd: []string{"x"}, Timeout: 5}},
		"Resources.Memory ":   {Resources: &DockerResources{Memory: "9999999999g"}},
		"MemorySwap":          {Resources: &DockerResources{MemorySwap: "-2"}},
		"CPUs":                {Resources: &DockerResources{CPUs: -1}},
		"PIDs":                {Resources: &DockerResources{PIDs: -1}},
		"known are":           {ExtraArgs: []string{"--restart=always"}},
		"its value is":        {ExtraArgs: []string{"--user"}},
		"write --init":        {ExtraArgs: []string{"--init=false"}},
		`--user with the`:     {ExtraArgs: []string{"--user="}},
		"empty name":          {ExtraArgs: []string{"--sysctl", "=1"}},
		"StopTimeout is -1ns": {StopTimeout: -1},
		"Restart":             {Restart: RestartPolicy{Backoff: 0.5}},
	} {
		if says != "Image" {
			c.Image = "x"
		}
		err := NewDocker(c).Validate()
		if !errors.Is(err, pluginapi.ErrInvalid) || !strings.Contains(err.Error(), says) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%+v: %v does not say %q alone", c, err, says)
		}
	}
	err := NewDocker(DockerConfig{Name: "/", Ports: []string{"x"}, StartTimeout: -1}).Validate()
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("four faults: %v", err)
	}
}

func TestTagged(t *testing.T) {
	for in, want := range map[string]string{
		"a": "a:latest", "a:1": "a:1", "h:5000/a": "h:5000/a:latest", "h:5000/a:1": "h:5000/a:1", "a@sha256:0": "a@sha256:0",
	} {
		if got := tagged(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestSystemdValidate(t *testing.T) {
	for says, s := range map[string]*SystemdBackend{
		"unit":            NewSystemd("a/b"),
		"x@.service":      NewSystemd("x@"),
		"x.socket":        NewSystemd("x.socket"),
		"dependency":      NewSystemd("x", WithDependencies("")),
		"another unit":    NewSystemd("x", WithDependencies("x")),
		"health endpoint": NewSystemd("x", WithHealthEndpoint("x:1")),
		"a time is 1ns":   NewSystemd("x", WithHealthInterval(1)),
		"a time is -1ns":  NewSystemd("x", WithStopTimeout(-1)),
		"journal":         NewSystemd("x", WithJournalLines(-1)),
		"restart policy":  NewSystemd("x", WithSystemdRestart(RestartPolicy{Delay: -1})),
		"option 1 is nil": NewSystemd("x", nil),
	} {
		err := s.Validate()
		if !errors.Is(err, pluginapi.ErrInvalid) || !strings.Contains(err.Error(), says) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%v does not say %q alone", err, says)
		}
	}
	for _, name := range []string{"nginx", "postgresql@16-main", `dev-a\x2db`, "a.b", "x.service"} {
		if err := NewSystemd(name).Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A control group is a victim's name: only the unit's own is taken.
func TestUnitFolder(t *testing.T) {
	u := &unit{name: "web.service", groups: "/sys"}
	for _, tt := range []struct{ group, slice, want string }{
		{"/system.slice/web.service", "", "/sys/system.slice/web.service"},
		{"", "system.slice", "/sys/system.slice/web.service"},
		{"", "-.slice", "/sys/web.service"},
		{"", "a-b-c.slice", "/sys/a.slice/a-b.slice/a-b-c.slice/web.service"},
		{"/", "", ""}, {"/system.slice", "", ""}, {"/system.slice/../web.service", "", ""}, {"web.service", "", ""},
		{"/other.service", "", ""}, {"", "", ""}, {"", "a--b.slice", ""}, {"", "../x.slice", ""},
	} {
		got, err := u.folderOf(properties{"ControlGroup": tt.group, "Slice": tt.slice})
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%+v: got %q, %v", tt, got, err)
		}
	}
}
