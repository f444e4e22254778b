package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// atOnce is how many commands of a table run at a time.
const atOnce = 8

// linger is how long the end of the output is waited for when a process that has
// left the group holds it.
const linger = 500 * time.Millisecond

// Table is the commands that an operator has defined. It is a grant.Commands.
type Table struct {
	commands map[string]definition
	turns    chan struct{}
}

// New checks the commands.
//
// # Errors
//
// [pluginapi.ErrInvalid], for all that are wrong.
func New(commands map[string]Command) (*Table, error) {
	t := &Table{commands: map[string]definition{}, turns: make(chan struct{}, atOnce)}
	var faults []error
	for name, c := range commands {
		d, err := c.check(name)
		if err != nil {
			faults = append(faults, err)
		}
		t.commands[name] = d
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return t, nil
}

// Run runs a command to its end and kills what it leaves in its process group.
// The code is that of its exit, or 128 and the number of the signal that ended
// it.
//
// # Errors
//
// [pluginapi.ErrNotGranted] for a command that is not defined and for an
// argument that is not allowed; [pluginapi.ErrBusy]; [pluginapi.ErrTimeout] and
// [pluginapi.ErrTooLarge] when it was killed because it ran or wrote too long;
// [pluginapi.ErrInvalid].
func (t *Table) Run(ctx context.Context, name string, args []string, stdin []byte) (wire.ExecResult, error) {
	d, ok := t.commands[name]
	if !ok {
		return wire.ExecResult{}, fmt.Errorf("%w: the command %.63q is not defined on this node", pluginapi.ErrNotGranted, name)
	}
	if err := d.allow(args); err != nil {
		return wire.ExecResult{}, err
	}
	select {
	case t.turns <- struct{}{}:
		defer func() { <-t.turns }()
	default:
		return wire.ExecResult{}, fmt.Errorf("%w: %d commands run", pluginapi.ErrBusy, atOnce)
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	return d.run(ctx, args, stdin)
}

func (d definition) run(ctx context.Context, args []string, stdin []byte) (wire.ExecResult, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	cmd := exec.CommandContext(ctx, d.Argv[0], append(d.Argv[1:len(d.Argv):len(d.Argv)], args...)...)
	cmd.Env, cmd.Dir = d.Env, d.Dir
	if len(stdin) > 0 {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	tooMuch := func() { stop(pluginapi.ErrTooLarge) }
	stdout, stderr := &output{left: d.Output, over: tooMuch}, &output{left: d.Output, over: tooMuch}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = linger
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return wire.ExecResult{}, fmt.Errorf("start command: %w", err)
	}
	err := finish(cmd)
	var exit *exec.ExitError
	switch {
	case errors.Is(context.Cause(ctx), pluginapi.ErrTooLarge):
		return wire.ExecResult{}, fmt.Errorf("%w: the command has written more than %d bytes and was killed", pluginapi.ErrTooLarge, d.Output)
	case ctx.Err() != nil && err != nil:
		return wire.ExecResult{}, fmt.Errorf("%w: the command was killed", pluginapi.ErrTimeout)
	case err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay):
		return wire.ExecResult{}, fmt.Errorf("run command: %w", err)
	}
	return wire.ExecResult{Code: codeOf(cmd.ProcessState), Stdout: stdout.bytes(), Stderr: stderr.bytes()}, nil
}

// output keeps what a command writes, up to a limit.
type output struct {
	mu   sync.Mutex
	text []byte
	left int64
	over func() // more was written; may be called often
}

// Write keeps b, or what fits of it.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(int64(len(b)), o.left)
	o.text = append(o.text, b[:n]...)
	if o.left -= n; n < int64(len(b)) {
		o.over()
	}
	return len(b), nil
}

func (o *output) bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text
}
