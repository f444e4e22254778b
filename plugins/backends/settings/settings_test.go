package settings

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

func TestRead(t *testing.T) {
	type section struct {
		D Duration `json:"d"`
		R Restart  `json:"restart"`
	}
	var s section
	if err := Read([]byte(`{"d":"1m30s","restart":{"max":0,"delay":"2s"}}`), &s); err != nil || time.Duration(s.D) != 90*time.Second {
		t.Errorf("got %+v, %v", s, err)
	}
	p, err := s.R.Policy()
	if err != nil || !p.Disabled || p.Delay != 2*time.Second {
		t.Errorf("got %+v, %v", p, err)
	}
	if p, err := (Restart{}).Policy(); err != nil || p.Disabled || p.MaxRestarts != 0 {
		t.Errorf("without any: %+v, %v", p, err)
	}
	less := -1
	if _, err := (Restart{Max: &less}).Policy(); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("a maximum of -1: %v", err)
	}
	for config, says := range map[string]string{
		``: "EOF", `[]`: "array", `{"e":1}`: `"e"`, `{} {}`: "after the object", `{"d":5}`: "5 is no time", `{"d":"-1s"}`: `"-1s" is no time`, `{"d":"5"}`: "its unit",
	} {
		if err := Read([]byte(config), &s); !errors.Is(err, pluginapi.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v does not say %q", config, err, says)
		}
	}
}

func TestEnvironment(t *testing.T) {
	got, err := Environment(map[string]string{"B": "2", "A": "1=1"})
	if err != nil || !slices.Equal(got, []string{"A=1=1", "B=2"}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, key := range []string{"", "A=B", "A\x00"} {
		if _, err := Environment(map[string]string{key: "x"}); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%q: %v", key, err)
		}
	}
}

// keeper notes what is asked of it.
type keeper struct {
	asked         []string
	invalid, hang error
}

func (k *keeper) Validate() error             { return k.invalid }
func (k *keeper) Start(context.Context) error { k.asked = append(k.asked, "start"); return nil }
func (k *keeper) Stop(context.Context) error  { k.asked = append(k.asked, "stop"); return k.hang }
func (k *keeper) Health(context.Context) (pluginapi.BackendHealth, error) {
	return pluginapi.BackendHealth{}, nil
}

func (k *keeper) Bind(in pluginapi.Instance) ([]pluginapi.Fence, error) {
	k.asked = append(k.asked, "bind "+in.Platform+" "+in.Node+" "+in.App)
	return nil, nil
}

func TestAdopt(t *testing.T) {
	c := wire.Configure{Platform: "p", Node: "n", App: "a"}
	k := &keeper{}
	if err := Adopt(c, k); err != nil || !slices.Equal(k.asked, []string{"bind p n a", "stop"}) {
		t.Errorf("asked %v, %v", k.asked, err)
	}
	bad := errors.New("bad")
	if err := Adopt(c, &keeper{invalid: bad}); !errors.Is(err, bad) {
		t.Errorf("an invalid backend: %v", err)
	}
	if err := Adopt(c, &keeper{hang: bad}); !errors.Is(err, bad) {
		t.Errorf("what cannot be ended: %v", err)
	}
	if err := Adopt(wire.Configure{Platform: "p", Node: "n"}, k); !errors.Is(err, pluginapi.ErrInvalid) {
		t.Errorf("without an app: %v", err)
	}
}
