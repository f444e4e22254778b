package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

func (u *unit) bringUp(ctx context.Context, t told) error {
	err := u.tryUp(ctx, t)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err) // D-Bus knows no causes
	}
	return err
}

func (u *unit) tryUp(ctx context.Context, t told) error {
	return u.with(ctx, func(m manager) error {
		if err := m.Subscribe(); err != nil { // only subscribers are told of the ends of jobs
			return fmt.Errorf("subscribe to systemd: %w", err)
		}
		if err := u.check(ctx, m); err != nil {
			return err
		}
		if err := u.bringDown(ctx); err != nil {
			return err
		}
		if err := u.startDeps(ctx, m); err != nil {
			return err
		}
		if err := u.prepare(ctx, m); err != nil {
			return err
		}
		if err := u.writeEnvironment(t); err != nil {
			return err
		}
		// A unit that has not failed has nothing to be reset.
		_ = m.ResetFailedUnitContext(ctx, u.name)
		if err := u.job(ctx, m.StartUnitContext, u.name); err != nil {
			return u.explain(ctx, m, err)
		}
		return u.awaitReady(ctx)
	})
}

// prepare puts the drop-in in its place and makes systemd read it, if it has not:
// a reload takes longer than the rest of a start. What differs from start to
// start is in the file of the environment, which needs none.
func (u *unit) prepare(ctx context.Context, m manager) error {
	if err := u.writeDropIn(); err != nil {
		return err
	}
	p, err := u.properties(ctx, m, u.name)
	if err != nil {
		return err
	}
	drop := "/" + u.name + ".d/" + dropInName
	read := slices.ContainsFunc(p.texts("DropInPaths"), func(path string) bool { return strings.HasSuffix(path, drop) })
	if read && p["NeedDaemonReload"] == false && p.text("Restart") == "no" {
		return nil
	}
	if err := m.ReloadContext(ctx); err != nil {
		return fmt.Errorf("reload systemd: %w", err)
	}
	return nil
}

// prepareEarly is prepare before the first start, so that a failover need not
// wait for it. When it is of no use the start will tell.
func (u *unit) prepareEarly(ctx context.Context) {
	_ = u.with(ctx, func(m manager) error {
		p, err := u.properties(ctx, m, u.name)
		if err != nil || p.text("LoadState") != "loaded" {
			return err
		}
		return u.prepare(ctx, m)
	})
}

// check refuses a unit that cannot be kept, or that systemd would start by
// itself.
func (u *unit) check(ctx context.Context, m manager) error {
	p, err := u.properties(ctx, m, u.name)
	if err != nil {
		return err
	}
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: unit %s "+format, append([]any{pluginapi.ErrInvalid, u.name}, args...)...)
	}
	if load := p.text("LoadState"); load != "loaded" {
		return refuse("is %s: install it, or mend it (systemctl status %s)", or(load, "unknown"), u.name)
	}
	if file := p.text("UnitFileState"); strings.HasPrefix(file, "enabled") {
		return refuse("is %s: systemd would start it at boot without leadership: systemctl disable %s", file, u.name)
	}
	if p.text("Type") == "oneshot" && p["RemainAfterExit"] != true {
		return refuse("is Type=oneshot without RemainAfterExit=yes: it has nothing to keep alive")
	}
	for _, other := range p.texts("TriggeredBy") {
		q, err := u.properties(ctx, m, other)
		if err != nil {
			return err
		}
		if q.text("ActiveState") == "active" {
			return refuse("is started by %s whenever that is asked to, also without leadership: systemctl disable --now %s", other, other)
		}
	}
	_, _ = u.folderOf(p) // for the stop; it has the mark as well
	return nil
}

func (u *unit) startDeps(ctx context.Context, m manager) error {
	for _, d := range u.deps {
		p, err := u.properties(ctx, m, d)
		if err == nil && p.text("ActiveState") != "active" {
			err = u.job(ctx, m.StartUnitContext, d)
		}
		if err != nil {
			return fmt.Errorf("start dependency %s: %w", d, err)
		}
	}
	return nil
}

// job gives a job to systemd and waits for its end. The giving is not cut off:
// who leaves has to know that what comes next comes after it.
func (u *unit) job(ctx context.Context, give func(context.Context, string, string, chan<- string) (int, error), name string) error {
	result := make(chan string, 1)
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTime)
	defer cancel()
	if _, err := give(whole, name, "replace", result); err != nil {
		return fmt.Errorf("give job to systemd: %w", err)
	}
	select {
	case r := <-result:
		if r != "done" {
			return fmt.Errorf("systemd's job ended with %q", r)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// awaitReady waits until the unit is up and its endpoint answers. Systemd said
// that the start is done, but a simple service may have ended since.
func (u *unit) awaitReady(ctx context.Context) error {
	return attention(ctx, u.watch, DefaultReadyInterval, func(bool) (bool, error) {
		s, err := u.look(ctx)
		if err == nil && !s.alive {
			err = fmt.Errorf("it ended before it was ready: %s%s", s.message, u.lastLines(ctx))
		}
		return err == nil && s.status == pluginapi.StatusRunning, err
	})
}

// explain adds to the error of a start what systemd and the journal know.
func (u *unit) explain(ctx context.Context, m manager, err error) error {
	p, errAsk := u.properties(ctx, m, u.name)
	if errAsk != nil {
		return err
	}
	return fmt.Errorf("%w: %s%s", err, unitEnding(p), u.lastLines(ctx))
}

func (u *unit) lastLines(ctx context.Context) string {
	lines, err := journal(ctx, u.name, 5)
	lines = strings.TrimSpace(lines)
	if err != nil || lines == "" || strings.HasPrefix(lines, "-- No entries") {
		return ""
	}
	return fmt.Sprintf("; its last lines: %.1000s", lines)
}

// journal returns the last lines of a unit in the journal.
func journal(ctx context.Context, unit string, lines int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultHealthTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "journalctl", "--unit="+unit, "--lines="+strconv.Itoa(lines), "--output=cat", "--no-pager", "--quiet")
	cmd.WaitDelay = time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	text, errRead := io.ReadAll(io.LimitReader(out, 1<<20))
	_, errRest := io.Copy(io.Discard, out)
	return string(text), errors.Join(errRead, errRest, cmd.Wait())
}

// bringDown stops the unit, with systemd or without.
func (u *unit) bringDown(ctx context.Context) error {
	err := u.halt(ctx)
	u.mu.Lock()
	mark, folder := u.mark, u.caged
	u.mu.Unlock()
	// A unit with KillMode=process leaves processes behind.
	errGroup := killFolder(folder)
	if mark == "" {
		return errors.Join(err, errGroup)
	}
	if errMark := sweepMark(mark); errMark != nil && err != nil {
		return errors.Join(err, errGroup, errMark)
	}
	return errGroup
}

func (u *unit) halt(ctx context.Context) error {
	base := context.WithoutCancel(ctx)
	limit, cancel := context.WithTimeout(base, changeTime) // of a connection and a question
	defer cancel()
	return u.with(limit, func(m manager) error {
		if err := m.Subscribe(); err != nil {
			return fmt.Errorf("subscribe to systemd: %w", err)
		}
		p, err := u.properties(limit, m, u.name)
		if err != nil {
			return err
		}
		_, _ = u.folderOf(p)
		if down(p) {
			return nil
		}
		// The stop is given in any case: it also cancels a start.
		if err := u.job(ctx, m.StopUnitContext, u.name); err == nil {
			if p, err = u.properties(limit, m, u.name); err == nil && down(p) {
				return nil
			}
		}
		return u.kill(base, m)
	})
}

// down says whether nothing of the unit runs, and systemd has nothing to do with it.
func down(p properties) bool {
	state := p.text("ActiveState")
	job, _ := p["Job"].([]any) // (id, path); id 0 is none
	idle := true
	if len(job) > 0 {
		id, ok := job[0].(uint32)
		idle = ok && id == 0
	}
	return idle && (state == "inactive" || state == "failed")
}

// kill kills all of the unit's processes and waits until systemd has seen it.
func (u *unit) kill(ctx context.Context, m manager) error {
	late := fmt.Errorf("%w: it still lives %v after SIGKILL", pluginapi.ErrTimeout, killTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, killTimeout, late)
	defer cancel()
	struck := false
	return attention(ctx, u.watch, 100*time.Millisecond, func(bool) (bool, error) {
		p, err := u.properties(ctx, m, u.name)
		if err != nil {
			return false, err
		}
		// Once in a while systemd (252) goes on waiting for the end of a control
		// group that a guard has removed, until TimeoutStopSec. Nothing runs then.
		if down(p) || struck && p.text("ActiveState") == "deactivating" && u.empty() {
			return true, nil
		}
		struck = true
		// Also what it runs at its stop is killed: again, until it is down. With no
		// process left at this moment systemd refuses, and the next look tells.
		_ = m.KillUnitWithTarget(ctx, u.name, dbus.All, int32(syscall.SIGKILL))
		return false, nil
	})
}

// empty says whether the unit's control group is known to hold no process.
func (u *unit) empty() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.caged != "" && emptyFolder(u.caged)
}

// writeDropIn tells systemd not to start the unit by itself, and where the
// environment is. Without that file the unit does not start: it would have no mark.
func (u *unit) writeDropIn() error {
	dir := filepath.Join(u.dropIns, u.name+".d")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make drop-in: %w", err)
	}
	text := fmt.Appendf(nil, "# Written by gchost, which alone starts this service.\n[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=no\nEnvironmentFile=/run/systemd/system/%s.d/%s\n",
		strings.ReplaceAll(u.name, "%", "%%"), environmentName)
	file := filepath.Join(dir, dropInName)
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, text) {
		return nil // its time stays as well, by which systemd knows that it has read it
	}
	if err := replaceFile(file, text, 0o644); err != nil {
		return fmt.Errorf("write drop-in: %w", err)
	}
	return nil
}

// writeEnvironment writes what the service is told. There is a secret in it: only
// root may read it.
func (u *unit) writeEnvironment(t told) error {
	var text bytes.Buffer
	for _, e := range slices.Concat(t.access, t.instance) {
		key, value, _ := strings.Cut(e, "=")
		fmt.Fprintf(&text, "%s=\"%s\"\n", key, envQuoter().Replace(value))
	}
	if err := replaceFile(filepath.Join(u.dropIns, u.name+".d", environmentName), text.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write environment: %w", err)
	}
	return nil
}

const (
	dropInName      = "90-gchost.conf"
	environmentName = "90-gchost.env"
)

// envQuoter escapes what is special between double quotes in an environment file.
func envQuoter() *strings.Replacer {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`")
}

// replaceFile writes a file that is there whole or not at all.
func replaceFile(path string, text []byte, mode os.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".gchost-")
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
