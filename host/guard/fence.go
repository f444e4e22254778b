package guard

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// markKey and pluginKey are the variables by which a FenceEnv knows its
// processes: those of an app's service, and those of a plugin.
const (
	markKey   = "GCHOST_INSTANCE"
	pluginKey = "GCHOST_PLUGIN"
)

// checkFence refuses what must never be killed: a fence is the name of a victim,
// so nothing is tidied up, guessed or mended here.
func checkFence(f pluginapi.Fence) error {
	if err := fencesSupported(); err != nil {
		return err
	}
	switch f.Kind {
	case pluginapi.FenceEnv:
		_, err := parseMark(f.Name)
		return err
	case pluginapi.FenceCgroup:
		if !filepath.IsAbs(f.Name) || filepath.Clean(f.Name) != f.Name || strings.ContainsRune(f.Name, 0) {
			return fmt.Errorf("%w: fence cgroup %.200q: give the folder's absolute path, without . or .. or a slash at the end", pluginapi.ErrInvalid, f.Name)
		}
		return checkCgroup(f.Name)
	}
	return fmt.Errorf("%w: fence kind %.80q: give %s or %s", pluginapi.ErrInvalid, f.Kind, pluginapi.FenceCgroup, pluginapi.FenceEnv)
}

// mark is a taken apart GCHOST_INSTANCE=<platform>.<node>.<app>, or
// GCHOST_PLUGIN=<platform>.<node>.<plugin>.
type mark struct{ platform, node, app string }

func parseMark(name string) (mark, error) {
	key, value, _ := strings.Cut(name, "=")
	parts := strings.Split(value, ".")
	if key != markKey && key != pluginKey || len(parts) != 3 {
		return mark{}, fmt.Errorf("%w: fence env %.300q: give %s=<platform>.<node>.<app> or %s=<platform>.<node>.<plugin>",
			pluginapi.ErrInvalid, name, markKey, pluginKey)
	}
	for i, kind := range []string{"platform", "node", "app"} {
		if err := pluginapi.CheckName(kind, parts[i]); err != nil {
			return mark{}, fmt.Errorf("fence env: %w", err)
		}
	}
	return mark{parts[0], parts[1], parts[2]}, nil
}

// checkOwn is checkFence, and that a mark is one of this node: the watchman of
// one node never kills for another.
func checkOwn(f pluginapi.Fence, i Init) error {
	if err := checkFence(f); err != nil || f.Kind != pluginapi.FenceEnv {
		return err
	}
	m, err := parseMark(f.Name)
	if err == nil && (m.platform != i.Platform || m.node != i.Node) {
		return fmt.Errorf("%w: fence env %s: the guard watches node %s of platform %s", pluginapi.ErrInvalid, f.Name, i.Node, i.Platform)
	}
	return err
}

// fenceSet is what the watchman kills. While it acts, fences are only added:
// what a thawing host dropped from its set may still be alive.
type fenceSet struct {
	mu      sync.Mutex
	current []pluginapi.Fence // the last whole set
	older   []pluginapi.Fence // sets before it, since the watchman acted
}

func (s *fenceSet) replace(set []pluginapi.Fence, keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if keep {
		s.older = append(s.older, s.current...)
	}
	s.current = slices.Clone(set)
}

// armed forgets the older sets: everything in them is dead.
func (s *fenceSet) armed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.older = nil
}

func (s *fenceSet) all() []pluginapi.Fence {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []pluginapi.Fence
	for _, f := range slices.Concat(s.current, s.older) {
		if !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}
