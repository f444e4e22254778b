package extend

import (
	"context"
	"fmt"
	"sync"

	"github.com/ozanturksever/go-cluster/host/plugin"
)

// Open opens a plugin for an app, with a config for that use of it. It is called
// once for each use.
type Open func() (plugin.Instance, error)

// late is a plugin that is opened when it is needed first.
type late struct {
	name string
	open Open

	mu   sync.Mutex
	inst plugin.Instance
}

func (l *late) instance() (plugin.Instance, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inst != nil {
		return l.inst, nil
	}
	inst, err := l.open()
	if err != nil {
		return nil, fmt.Errorf("open plugin %s: %w", l.name, err)
	}
	l.inst = inst
	return inst, nil
}

func (l *late) close(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inst == nil {
		return nil
	}
	return l.inst.Close(ctx)
}
