package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	cluster "github.com/ozanturksever/go-cluster"
)

// command is a hook of an app as an external program.
type command struct {
	key      string // on_active
	argv     []string
	platform string
	node     string
	app      string
	dataDir  string
	log      *slog.Logger
}

// What is kept of a hook's output, in bytes, and how long is waited for the end
// of it when a process that has left the hook's group holds the pipe.
const (
	hookOutput = 2 << 10
	hookLinger = 500 * time.Millisecond
)

// addHooks hangs the hooks of an app's configuration on the app.
func addHooks(app *cluster.App, cfg Config, hooks HooksConfig, log *slog.Logger) {
	for _, h := range hooks.all() {
		x := command{key: h.key, argv: h.argv, platform: cfg.Platform, node: cfg.Node, app: app.Name(), dataDir: cfg.DataDir, log: log.With("hook", h.key)}
		plain := func(ctx context.Context) error { return x.run(ctx) }
		member := func(ctx context.Context, m cluster.Member) error {
			return x.run(ctx, "GCHOST_MEMBER="+m.NodeID, "GCHOST_MEMBER_ADDRESS="+m.Address)
		}
		switch h.key {
		case "on_active":
			app.OnActive(plain)
		case "on_passive":
			app.OnPassive(plain)
		case "on_start":
			app.OnStart(plain)
		case "on_stop":
			app.OnStop(plain)
		case "on_leader_change":
			app.OnLeaderChange(func(ctx context.Context, leader string) error { return x.run(ctx, "GCHOST_LEADER="+leader) })
		case "on_member_join":
			app.OnMemberJoin(member)
		case "on_member_leave":
			app.OnMemberLeave(member)
		}
	}
}

// run runs the program and waits for it. When the context ends, the program and
// all of its process group are killed; what it leaves behind in the group is
// killed too. An exit code other than 0 is an error that ends with the last
// lines that the program wrote.
func (x command) run(ctx context.Context, extra ...string) error {
	cmd := exec.CommandContext(ctx, x.argv[0], x.argv[1:]...)
	cmd.Env = append(x.environ(ctx, os.Environ()), extra...)
	ownGroup(cmd)
	out, err := collect(cmd)
	switch {
	case err == nil:
		x.log.Debug("hook has run", "output", out)
		return nil
	case out != "":
		out = ": " + out
	}
	if ctx.Err() != nil {
		return fmt.Errorf("run hook %s: %s: killed: %w%s", x.key, x.argv[0], context.Cause(ctx), out)
	}
	return fmt.Errorf("run hook %s: %s: %w%s", x.key, x.argv[0], err, out)
}

// collect runs a command and returns the end of its output. The pipe is ours,
// so that a child that keeps it open cannot hold the end of the command up: it
// is killed first, and one that has left the group is not waited for.
func collect(cmd *exec.Cmd) (string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", fmt.Errorf("make pipe: %w", err)
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return "", errors.Join(err, w.Close())
	}
	var out tail
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(&out, r)
		done <- err
	}()
	err = cmd.Wait()
	killGroup(cmd)
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("close pipe: %w", err)
	}
	if deadline := r.SetReadDeadline(time.Now().Add(hookLinger)); deadline != nil {
		_ = r.Close() // a system whose pipes know no deadline: the reader ends by this
	}
	<-done // its error is the deadline, or the end: what was read is what there is
	return out.text(), err
}

// environ is the environment of the program: the host's, without what is meant
// for the host alone, and what the hook is about.
func (x command) environ(ctx context.Context, host []string) []string {
	env := slices.DeleteFunc(slices.Clone(host), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(ownVariables(), name) || slices.Contains(notConfig(), name) ||
			name == "NOTIFY_SOCKET" || strings.HasPrefix(name, "WATCHDOG_") || strings.HasPrefix(name, "LISTEN_")
	})
	env = append(env, "GCHOST_PLATFORM="+x.platform, "GCHOST_NODE="+x.node, "GCHOST_APP="+x.app, "GCHOST_HOOK="+x.key, "GCHOST_DATA_DIR="+x.dataDir)
	if l, ok := cluster.LeaseFrom(ctx); ok {
		env = append(env, fmt.Sprintf("GCHOST_EPOCH=%d", l.Epoch))
	}
	if x.marked() {
		env = append(env, "GCHOST_INSTANCE="+x.platform+"."+x.node+"."+x.app)
	}
	return env
}

// marked says whether the guard may kill the program together with the service
// when the host is dead. Hooks that run in turn with the service's start and
// stop carry the mark; the others do not, because a start of the service kills
// what carries it.
func (x command) marked() bool {
	return slices.Contains([]string{"on_active", "on_passive", "on_start", "on_stop"}, x.key)
}

// tail keeps the end of what is written to it.
type tail struct{ last []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.last = append(t.last, p...)
	if extra := len(t.last) - hookOutput; extra > 0 {
		t.last = slices.Delete(t.last, 0, extra)
	}
	return len(p), nil
}

// text is the output without blanks around it.
func (t *tail) text() string { return strings.TrimSpace(strings.ToValidUTF8(string(t.last), "?")) }
