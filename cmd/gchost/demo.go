package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// demo is three hosts on this machine, one app, and a look at them.
type demo struct {
	p       *program
	dir     string
	temp    bool   // the folder is removed at the end
	service string // program of the app
	address string // where the app answers, whichever host runs it
	kills   int    // how often the leader is killed before the demo ends; 0: never, the demo goes on
	hosts   []*demoHost
	events  chan demoEvent
	story   story
	probe   *probe
	result  demoResult
	calm    time.Time // since when all hosts are back and the service answers
}

// demoResult is what --json writes at the end.
type demoResult struct {
	Failovers []failover `json:"failovers"`
}

const (
	demoPlatform = "demo"
	demoApp      = "web"
	demoHosts    = 3
	demoStart    = time.Minute      // for the first leader to serve
	demoFailover = 30 * time.Second // for the service to be back
	demoRestart  = 2 * time.Second  // until a killed host is started again
	demoSettle   = 3 * time.Second  // between two kills, after all hosts are back
)

func (p *program) demoCommand() *cobra.Command {
	d := &demo{p: p}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run three hosts on this machine and show a failover",
		Long: "Starts three hosts on loopback with an R3 cluster of embedded servers and one app:\n" +
			"a small HTTP service. Shows who leads, says how to kill it, and prints what happens\n" +
			"then, in milliseconds. Ctrl-C ends it and removes everything it made.",
		Args: args(),
		RunE: func(c *cobra.Command, _ []string) error { return d.run(c.Context()) },
	}
	c.Flags().StringVar(&d.dir, "dir", "", "folder to keep the hosts' data and logs in (default: a temporary one, removed at the end)")
	c.Flags().StringVar(&d.service, "service", "", "program of the HTTP service; it gets -addr (default: quickstart beside gchost)")
	c.Flags().IntVar(&d.kills, "kills", 0, "kill the leader so often, then end")
	return c
}

// run runs the demo until its context ends or the kills are done.
func (d *demo) run(ctx context.Context) (err error) {
	if err := d.prepare(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.clean()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.probe = newProbe("http://" + d.address)
	probed := make(chan struct{})
	go func() { defer close(probed); d.probe.run(ctx, d.events) }()
	defer func() { <-probed }()
	defer cancel()
	for _, h := range d.hosts {
		if err := h.start(d.events); err != nil {
			return errors.Join(err, d.stop())
		}
	}
	err = d.watch(ctx)
	cancel()
	err = errors.Join(err, d.stop())
	if err == nil && d.p.json {
		err = writeJSON(d.p.stdout, d.result)
	}
	return err
}

// prepare makes folder, addresses and configurations.
func (d *demo) prepare() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find gchost: %w", err)
	}
	if d.service == "" {
		d.service = filepath.Join(filepath.Dir(self), "quickstart")
	}
	if d.service, err = exec.LookPath(d.service); err != nil {
		return fmt.Errorf("find the service: %w: build it with make build, or name another with --service", err)
	}
	if d.service, err = filepath.Abs(d.service); err != nil {
		return fmt.Errorf("find the service: %w", err)
	}
	if err := d.makeDir(); err != nil {
		return err
	}
	d.events = make(chan demoEvent, 1024)
	addrs, err := freeAddresses(3*demoHosts + 1)
	if err != nil {
		return err
	}
	d.address = addrs[3*demoHosts]
	secret := rand.Text()
	for i := range demoHosts {
		h := &demoHost{name: fmt.Sprintf("n%d", i+1), program: self, client: addrs[3*i], routes: addrs[3*i+1], mesh: addrs[3*i+2]}
		h.dir = filepath.Join(d.dir, h.name)
		d.hosts = append(d.hosts, h)
	}
	for _, h := range d.hosts {
		if err := d.configure(h, secret); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) makeDir() (err error) {
	if d.dir == "" {
		d.temp = true
		d.dir, err = os.MkdirTemp("", "gchost-demo-")
	} else if d.dir, err = filepath.Abs(d.dir); err == nil {
		err = os.MkdirAll(d.dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("make folder of the demo: %w", err)
	}
	return nil
}

// clean removes the folder, unless the user has named it.
func (d *demo) clean() error {
	if !d.temp {
		return nil
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return fmt.Errorf("remove folder of the demo: %w", err)
	}
	return nil
}

// freeAddresses returns addresses of loopback that nobody listens on now.
func freeAddresses(n int) ([]string, error) {
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // all stay taken until the last is found
		out = append(out, l.Addr().String())
	}
	return out, nil
}

// stop ends all hosts: first all are asked, so that none takes over what
// another gives away in vain, then all are waited for.
func (d *demo) stop() error {
	for _, h := range d.hosts {
		h.ask()
	}
	var errs []error
	for _, h := range d.hosts {
		errs = append(errs, h.wait())
	}
	return errors.Join(errs...)
}
