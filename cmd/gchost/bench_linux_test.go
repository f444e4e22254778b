package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// buildBinaries builds gchost and the demo's service as they are shipped.
func buildBinaries(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	for name, pkg := range map[string]string{"gchost": ".", "quickstart": "../../examples/quickstart"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	return dir
}

// BenchmarkKill kills the leader's host of the demo again and again: three
// processes, three replicas, every write synced, a real HTTP service. Times
// count from the end of the host's process.
func BenchmarkKill(b *testing.B) {
	const kills = 12
	dir := buildBinaries(b)
	cmd := exec.Command(filepath.Join(dir, "gchost"), "demo", "--json", "--kills", strconv.Itoa(kills))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("demo: %v\n%s", err, errs.Bytes())
	}
	var result demoResult
	if err := json.Unmarshal(out, &result); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(0, "ns/op") // says nothing here
	for _, phase := range []struct {
		name string
		of   func(failover) float64
	}{
		{"dead", func(f failover) float64 { return f.Gone }},
		{"leads", func(f failover) float64 { return f.Leads }},
		{"serves", func(f failover) float64 { return f.Serves }},
	} {
		var all []float64
		for _, f := range result.Failovers {
			if v := phase.of(f); v >= 0 {
				all = append(all, v)
			}
		}
		slices.Sort(all)
		if len(all) > 0 {
			b.ReportMetric(all[len(all)/2], phase.name+"-p50-ms")
			b.ReportMetric(all[len(all)-1], phase.name+"-max-ms")
		}
	}
	b.ReportMetric(float64(len(result.Failovers)), "rounds")
}

// BenchmarkStart starts one host with an embedded server in an empty folder,
// waits until it is ready, and looks at it at rest.
func BenchmarkStart(b *testing.B) {
	dir := buildBinaries(b)
	config := filepath.Join(dir, "gchost.yaml")
	health := freeAddress(b)
	text := fmt.Sprintf("data_dir: %s\nhealth_addr: %s\ncluster: {listen: %q}\n", filepath.Join(dir, "data"), health, freeAddress(b))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	begun := time.Now()
	cmd := exec.Command(filepath.Join(dir, "gchost"), "run", "--config", config)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	ready := newProbe("http://" + health + "/ready")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if res, err := ready.client.Get(ready.url); err == nil {
			res.Body.Close()
			if res.StatusCode == 200 {
				break
			}
		}
		if time.Since(begun) > time.Minute {
			b.Fatal("the host is not ready within a minute")
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(time.Since(begun).Milliseconds()), "ready-ms")
	const seconds = 10
	before := cpuTicks(b, cmd.Process.Pid)
	<-time.After(seconds * time.Second)
	b.ReportMetric(float64(cpuTicks(b, cmd.Process.Pid)-before)/seconds, "cpu-%")
	b.ReportMetric(float64(rssKiB(b, cmd.Process.Pid))/1024, "rss-MiB")
}

func freeAddress(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// cpuTicks is the processor time of a process, in hundredths of a second.
func cpuTicks(b *testing.B, pid int) (ticks int) {
	body, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(body), ") ")
	for _, f := range strings.Fields(after)[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return ticks
}

func rssKiB(b *testing.B, pid int) int {
	body, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
