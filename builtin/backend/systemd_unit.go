package backend

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// manager is what is needed of a connection to systemd.
type manager interface {
	Subscribe() error
	SetPropertiesSubscriber(chan<- *dbus.PropertiesUpdate, chan<- error)
	GetAllPropertiesContext(ctx context.Context, unit string) (map[string]any, error)
	StartUnitContext(ctx context.Context, name, mode string, result chan<- string) (int, error)
	StopUnitContext(ctx context.Context, name, mode string, result chan<- string) (int, error)
	KillUnitWithTarget(ctx context.Context, name string, target dbus.Who, signal int32) error
	ResetFailedUnitContext(ctx context.Context, name string) error
	ReloadContext(ctx context.Context) error
	Connected() bool
	Close()
}

// dialSystemd connects by the system bus, or directly where there is none. The
// context bounds that only; the connection lives until it is closed.
func dialSystemd(ctx context.Context) (manager, error) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	conn, err := dbus.NewWithContext(life)
	if !stop() && err == nil {
		conn.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	return connection{conn, cancel}, nil
}

// connection frees the context of a connection when it is closed.
type connection struct {
	*dbus.Conn
	cancel context.CancelFunc
}

func (c connection) Close() {
	c.Conn.Close()
	c.cancel()
}

// unit is the remote of a SystemdBackend.
type unit struct {
	name     string
	deps     []string
	endpoint string
	lookFor  time.Duration // how long the endpoint may take
	lines    int
	dropIns  string // the folder of the units' folders
	groups   string // the mount point of cgroup v2; "" is the machine's
	dial     func(context.Context) (manager, error)

	mu    sync.Mutex
	mark  string // of the instance; "" when it is bound to none
	caged string // the folder of the unit's control group, when it was last known
}

func (u *unit) bind(mark string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mark = mark
}

// with opens a connection for one task.
func (u *unit) with(ctx context.Context, fn func(manager) error) error {
	m, err := u.dial(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	return fn(m)
}

// properties are what systemd tells of a unit; a wrong type counts as absent.
type properties map[string]any

func (p properties) text(key string) string {
	s, _ := p[key].(string)
	return s
}

func (p properties) texts(key string) []string {
	s, _ := p[key].([]string)
	return s
}

func (u *unit) properties(ctx context.Context, m manager, name string) (properties, error) {
	p, err := m.GetAllPropertiesContext(ctx, name)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("ask systemd: %w", err)
	}
	return p, nil
}

// folder returns the control group of the unit, which need not be there yet, and
// remembers it.
func (u *unit) folder(ctx context.Context) (folder string, err error) {
	err = u.with(ctx, func(m manager) error {
		p, err := u.properties(ctx, m, u.name)
		if err != nil {
			return err
		}
		folder, err = u.folderOf(p)
		return err
	})
	return folder, err
}

func (u *unit) folderOf(p properties) (string, error) {
	group := p.text("ControlGroup")
	if group == "" {
		slice, err := slicePath(p.text("Slice"))
		if err != nil {
			return "", err
		}
		group = slice + "/" + u.name
	}
	// It is the name of a victim: it must be this unit's and nobody else's.
	if filepath.Clean(group) != group || !filepath.IsAbs(group) || filepath.Base(group) != u.name {
		return "", fmt.Errorf("%w: control group %.300q is not that of %s", pluginapi.ErrInvalid, group, u.name)
	}
	mount := u.groups
	if mount == "" {
		var err error
		if mount, err = unifiedMount(); err != nil {
			return "", err
		}
	}
	folder := filepath.Join(mount, group)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.caged = folder
	return folder, nil
}

// slicePath is where a slice has its control group: each dash in its name is a
// step down.
func slicePath(slice string) (string, error) {
	name, ok := strings.CutSuffix(slice, ".slice")
	if name == "-" && ok {
		return "", nil
	}
	if !ok || name == "" || strings.Contains(name, "/") {
		return "", fmt.Errorf("%w: %.300q is no slice", pluginapi.ErrInvalid, slice)
	}
	path, so := "", ""
	for part := range strings.SplitSeq(name, "-") {
		if part == "" {
			return "", fmt.Errorf("%w: %.300q is no slice", pluginapi.ErrInvalid, slice)
		}
		so += part
		path += "/" + so + ".slice"
		so += "-"
	}
	return path, nil
}

func (u *unit) watch(ctx context.Context, hint func()) error {
	return u.with(ctx, func(m manager) error {
		updates, broken := make(chan *dbus.PropertiesUpdate, 256), make(chan error, 1)
		m.SetPropertiesSubscriber(updates, broken)
		if err := m.Subscribe(); err != nil {
			return fmt.Errorf("watch systemd: %w", err)
		}
		hint()
		alive := time.NewTicker(DefaultHealthInterval) // a lost connection does not tell
		defer alive.Stop()
		for {
			select {
			case up := <-updates:
				if up.UnitName == u.name {
					hint()
				}
			case <-broken: // some were dropped
				hint()
			case <-alive.C:
				if !m.Connected() {
					return errors.New("watch systemd: the connection is lost")
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	})
}

func (u *unit) look(ctx context.Context) (s sight, err error) {
	err = u.with(ctx, func(m manager) error {
		p, err := u.properties(ctx, m, u.name)
		if err == nil {
			s = u.sight(p)
		}
		return err
	})
	if err != nil || s.status != pluginapi.StatusRunning || u.endpoint == "" {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, u.lookFor)
	defer cancel()
	if err := checkHTTP(ctx, u.endpoint, 0); err != nil {
		s.status, s.message = pluginapi.StatusUnhealthy, err.Error()
	}
	return s, nil
}

// sight reads the state of a unit.
func (u *unit) sight(p properties) sight {
	state, sub := p.text("ActiveState"), p.text("SubState")
	s := sight{alive: true, message: p.text("StatusText")}
	if usec, ok := p["ActiveEnterTimestamp"].(uint64); ok && usec > 0 && usec < 1<<60 {
		s.since = time.UnixMicro(int64(usec))
	}
	switch state {
	case "active", "reloading", "refreshing":
		s.status = pluginapi.StatusRunning
	case "activating", "maintenance":
		s.status = pluginapi.StatusStarting
	case "deactivating":
		s.status, s.message = pluginapi.StatusUnhealthy, "it is being stopped"
	default: // inactive, failed
		return sight{status: pluginapi.StatusStopped, message: unitEnding(p)}
	}
	if sub == "auto-restart" {
		return sight{status: pluginapi.StatusStopped, message: unitEnding(p)}
	}
	return s
}

// unitEnding says how a unit ended.
func unitEnding(p properties) string {
	if load := p.text("LoadState"); load != "" && load != "loaded" {
		return "the unit is " + load
	}
	s := p.text("ActiveState") + ", result " + or(p.text("Result"), "unknown")
	status, _ := p["ExecMainStatus"].(int32)
	switch code, _ := p["ExecMainCode"].(int32); code {
	case 1:
		s += fmt.Sprintf(", exit code %d", status)
	case 2, 3:
		s += fmt.Sprintf(", signal %d", status)
	}
	return s
}
