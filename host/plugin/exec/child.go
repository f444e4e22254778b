package exec

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"
)

// child is the process itself, and its two pipes. To go-plugin it is a runner
// whose stdout is the handshake and whose stderr is empty: go-plugin's own
// reader of log lines can be made to panic by a line.
type child struct {
	instance *Instance
	cage     *cage
	sockets  string // folder to be removed at the end
	env      []string
	place    string // folder in which the plugin must make its socket

	cmd            *exec.Cmd
	stdout, stderr *os.File
	hello          *io.PipeReader // first line of stdout, for go-plugin
	helloW         *io.PipeWriter
	readers        sync.WaitGroup
	exited         chan struct{} // closed when the process has ended, or was never started
	heard          chan struct{} // closed when all of stderr is read
	once           sync.Once
	started        atomic.Bool
	ended          atomic.Bool // exited by the process's end
	starved        atomic.Bool // the kernel killed it for want of memory

	mu   sync.Mutex
	bad  error // what is wrong with the handshake
	said *tail // of stderr
}

var _ runner.Runner = (*child)(nil)

func newChild(i *Instance, c *cage, sockets string) *child {
	r, w := io.Pipe()
	return &child{instance: i, cage: c, sockets: sockets, hello: r, helloW: w, exited: make(chan struct{}), heard: make(chan struct{}), said: &tail{}}
}

func (c *child) prepare(env []string, place string) { c.env, c.place = env, place }

// Start starts the process. The goroutine that calls it is the one that watches
// the instance: its thread lives as long as the process may.
func (c *child) Start(context.Context) error {
	outR, outW, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		return errors.Join(fmt.Errorf("make pipe: %w", err), outR.Close(), outW.Close())
	}
	c.stdout, c.stderr = outR, errR
	err = c.startProcess(outW, errW)
	err = errors.Join(err, outW.Close(), errW.Close())
	if err != nil {
		return err
	}
	c.started.Store(true)
	c.readers.Go(c.readStdout)
	c.readers.Go(c.readStderr)
	go c.wait()
	return nil
}

// startProcess tries again while the binary is busy: a process that is being
// forked elsewhere in the host has the file of the copy open, for a moment.
func (c *child) startProcess(stdout, stderr *os.File) error {
	for try := 0; ; try++ {
		c.cmd = exec.Command(c.instance.binary())
		c.cmd.Args[0] = c.instance.name()
		c.cmd.Env, c.cmd.Dir = c.instance.env(c.env), c.place
		c.cmd.Stdout, c.cmd.Stderr = stdout, stderr
		c.cmd.SysProcAttr = c.cage.attr()
		err := c.cmd.Start()
		if err == nil {
			if err = c.cage.hold(c.cmd.Process.Pid); err == nil {
				return nil
			}
			return errors.Join(err, c.cmd.Process.Kill(), c.cmd.Wait())
		}
		if !errors.Is(err, syscall.ETXTBSY) || try == 100 {
			return fmt.Errorf("start process: %w", err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func (c *child) wait() {
	c.cmd.Wait() // the outcome is in ProcessState
	c.starved.Store(c.cage.outOfMemory())
	c.ended.Store(true)
	c.once.Do(func() { close(c.exited) })
}

// readStdout hands the first line to go-plugin, if it is a handshake, and logs
// the rest.
func (c *child) readStdout() {
	in := bufio.NewReaderSize(c.stdout, maxHandshake)
	line, err := in.ReadSlice('\n')
	if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
		line = nil
	}
	if bad := checkHandshake(strings.TrimSuffix(string(line), "\n"), c.place); bad != nil {
		c.mu.Lock()
		c.bad = bad
		c.mu.Unlock()
		c.helloW.Close()
	} else {
		c.helloW.Write(line) // ends when go-plugin has read it or the pipe is closed
		c.helloW.Close()
	}
	c.instance.log.copy(in, "stdout", nil, c.exited)
}

func (c *child) readStderr() {
	defer close(c.heard)
	c.instance.log.copy(c.stderr, "stderr", c.said, c.exited)
}

// kill ends the process and its group at once; the rest is for the burial.
func (c *child) kill() {
	if c.started.Load() && !c.ended.Load() {
		c.cage.kill(c.cmd.Process)
	}
}

// finish waits for the end of a process that was killed, and of its pipes. What
// cannot be killed may still hold the other ends: they are closed.
func (c *child) finish() {
	if c.started.Load() {
		t := time.NewTimer(killTimeout)
		defer t.Stop()
		select {
		case <-c.exited:
		case <-t.C: // it hangs in the kernel; bury has said so
		}
	}
	c.once.Do(func() { close(c.exited) })
	for _, f := range []*os.File{c.stdout, c.stderr} {
		if f != nil {
			f.Close()
		}
	}
	c.hello.Close()
	c.readers.Wait()
	if err := os.RemoveAll(c.sockets); err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.instance.options.Logger.Warn("a plugin's socket is left", "plugin", c.instance.artifact.Name, "error", err)
	}
}

// endsSoon waits a moment for the end of a process whose connection or stdout
// has ended already.
func (c *child) endsSoon() bool {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-c.exited:
		return true
	case <-t.C:
		return c.hasExited()
	}
}

func (c *child) hasExited() bool { return c.ended.Load() }

func (c *child) flaw() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bad
}

// outcome says how the process ended.
func (c *child) outcome() string {
	if !c.ended.Load() {
		return "its connection broke"
	}
	return c.cmd.ProcessState.String()
}

// settle waits a moment for the last words of a process that has ended: they are
// still in the pipe. What it has started may hold that open for longer.
func (c *child) settle() {
	if !c.hasExited() {
		return
	}
	t := time.NewTimer(250 * time.Millisecond)
	defer t.Stop()
	select {
	case <-c.heard:
	case <-t.C:
	}
}

// lastWords are the end of what it printed to stderr, for a person.
func (c *child) lastWords() string {
	s := strings.TrimSpace(c.said.String())
	if s == "" {
		return ""
	}
	return "; its last words: " + s
}

func (c *child) memory() int64 {
	if !c.started.Load() || c.ended.Load() {
		return 0
	}
	return c.cage.memory(c.cmd.Process.Pid)
}

func (c *child) outOfMemory() bool { return c.starved.Load() }

// Wait waits for the end of the process.
func (c *child) Wait(context.Context) error {
	<-c.exited
	return nil
}

// Kill kills the process.
func (c *child) Kill(context.Context) error {
	c.kill()
	return nil
}

// Stdout is the handshake, and nothing after it.
func (c *child) Stdout() io.ReadCloser { return c.hello }

// Stderr is empty: the runtime reads it itself.
func (c *child) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name is the path of the binary.
func (c *child) Name() string { return c.instance.binary() }

// ID is the process id; "" without a process.
func (c *child) ID() string {
	if !c.started.Load() {
		return ""
	}
	return strconv.Itoa(c.cmd.Process.Pid)
}

// Diagnose has nothing to add: the handshake was looked at before.
func (c *child) Diagnose(context.Context) string { return "" }

// PluginToHost returns its arguments: the address was checked with the handshake.
func (c *child) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin returns its arguments.
func (c *child) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
