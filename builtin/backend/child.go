package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// fault is an error that this package knows by its identity.
type fault string

func (f fault) Error() string { return string(f) }

const (
	errStopped   fault = "stopped before it was ready"
	errLeftovers fault = "what an earlier run left behind cannot be ended"
	errUnseen    fault = "its state cannot be found out"
	errFenced    fault = "its control group was removed: a guard has ended this instance; stop the backend before it is started again"
)

const (
	// killTimeout is how long SIGKILL may take to work. Only a process that
	// hangs in the kernel (state D) needs longer than milliseconds.
	killTimeout = 10 * time.Second
	stepTime    = 5 * time.Millisecond // between two looks, while things die
)

// child is one main process with its output and its checks.
type child struct {
	cmd    *exec.Cmd
	pipes  pipes
	tail   tail
	prober *prober       // nil without a readiness check
	exited chan struct{} // closed when the process has been reaped
	code   int           // its exit code, once exited is closed
	end    string        // its end in words, once exited is closed
}

// launch clones the main process into the cage. The lease is asked as the very
// last thing: a host that was frozen in between finds the cage gone.
func (r *run) launch() (*child, error) {
	cmd := exec.Command(r.cfg.Command, r.cfg.Args...)
	cmd.Dir, cmd.Env = r.cfg.Dir, r.environ()
	c := &child{cmd: cmd, exited: make(chan struct{})}
	theirs, err := c.connect(r)
	if err == nil {
		err = r.cage.renew()
	}
	if err == nil {
		cmd.SysProcAttr = r.cage.attr()
		err = r.p.leads()
	}
	if err == nil {
		err = cmd.Start()
	}
	for _, f := range theirs {
		err = errors.Join(err, f.Close())
	}
	if err != nil && cmd.Process == nil {
		if r.cage.gone() {
			err = fmt.Errorf("%w (%w)", errFenced, err)
		}
		return nil, errors.Join(err, c.pipes.close())
	}
	go c.reap()
	if r.cfg.Ready != nil {
		c.prober = startProber(*r.cfg.Ready, r.check)
	}
	return c, nil
}

// connect makes the pipes for the child's output and returns the child's ends.
// stderr is always read, for the error messages; stdout only if someone wants it.
func (c *child) connect(r *run) (theirs []*os.File, err error) {
	attach := func(to *io.Writer, stderr bool) error {
		ours, their, err := os.Pipe()
		if err != nil {
			return fmt.Errorf("make pipe: %w", err)
		}
		theirs, *to = append(theirs, their), their
		c.pipes.follow(ours, stderr, func(l line) {
			if l.stderr {
				c.tail.add(l.text)
			}
			r.out.push(l)
		})
		return nil
	}
	if len(r.out.sinks()) > 0 {
		err = attach(&c.cmd.Stdout, false)
	}
	return theirs, errors.Join(err, attach(&c.cmd.Stderr, true))
}

// reap waits for the process. The pipes are files, so that a grandchild that
// holds them does not hold up the wait.
func (c *child) reap() {
	err := c.cmd.Wait()
	c.code, c.end = -1, fmt.Sprint(err)
	if s := c.cmd.ProcessState; s != nil {
		c.code, c.end = exitCode(s), s.String()
	}
	close(c.exited)
}

// results is where the outcomes of the checks come from; nil without checks.
func (c *child) results() <-chan error {
	if c.prober == nil {
		return nil
	}
	return c.prober.results
}

// died is the error of a child that ended by itself; call it after end, when
// the last lines have been read.
func (c *child) died() error {
	return fmt.Errorf("process ended by itself: %s%s", c.end, c.tail.String())
}

// terminate asks the service to end and waits until it has, until the grace is
// over or until force is closed.
func (c *child) terminate(group bool, grace time.Duration, force <-chan struct{}) {
	select {
	case <-c.exited:
		return
	default:
	}
	pid := c.cmd.Process.Pid
	if group {
		signalGroup(pid, syscall.SIGTERM)
	} else {
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // it has just ended, or the kill comes later
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.exited:
	case <-timer.C:
		return
	case <-force:
		return
	}
	if !group {
		return
	}
	look := time.NewTicker(stepTime)
	defer look.Stop()
	for groupLives(pid) {
		select {
		case <-look.C:
		case <-timer.C:
			return
		case <-force:
			return
		}
	}
}

// endChild ends the child and everything that it started. It returns nil when
// nothing of it runs any more.
func (r *run) endChild(c *child, grace time.Duration) error {
	if c.prober != nil {
		c.prober.stop()
	}
	if grace > 0 {
		c.terminate(r.cfg.UseProcessGroup, grace, r.force)
	}
	err := r.cage.kill(c.cmd.Process.Pid)
	timer := time.NewTimer(killTimeout)
	defer timer.Stop()
	select {
	case <-c.exited:
		r.p.noteExit(c.code)
	case <-timer.C:
		err = errors.Join(err, fmt.Errorf("process %d does not die", c.cmd.Process.Pid))
	}
	return errors.Join(err, c.pipes.close())
}

// check runs a readiness command in the cage.
func (r *run) check(ctx context.Context, argv []string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = r.cfg.Dir, r.environ()
	cmd.SysProcAttr = r.cage.attr()
	var said bytes.Buffer
	cmd.Stderr = &limited{&said, tailWidth}
	cmd.WaitDelay = pipeTime
	cmd.Cancel = func() error {
		signalGroup(cmd.Process.Pid, syscall.SIGKILL)
		return cmd.Process.Kill()
	}
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil // it has exited with 0; what it left behind dies with the service
	}
	if err != nil && said.Len() > 0 {
		return fmt.Errorf("%w: %q", err, bytes.TrimSpace(said.Bytes()))
	}
	return err
}

// limited takes everything and keeps the first bytes.
type limited struct {
	buf  *bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	keep := min(len(p), l.left)
	l.left -= keep
	l.buf.Write(p[:keep])
	return len(p), nil
}

// leads says whether the lease that the last Start brought still holds. Without
// a lease there is nothing to check.
func (p *ProcessBackend) leads() error {
	lease := p.currentLease()
	if lease == nil {
		return nil
	}
	if lease.Valid == nil || !lease.Valid() {
		return fmt.Errorf("%w: the lease of epoch %d does not hold", pluginapi.ErrNotLeader, lease.Epoch)
	}
	return nil
}
