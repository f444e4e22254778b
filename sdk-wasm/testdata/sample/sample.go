// Package sample holds the reference plugins, written with the SDK, and a hook
// that uses all that a host has.
package sample

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest/reference"
	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
)

// Policy is the reference policy.
func Policy() *sdk.Guest {
	about := reference.AboutPolicy()
	return sdk.Policy(sdk.About{Name: about.Name, Version: about.Version},
		func(_ *sdk.Call, app *sdk.App, table *sdk.Table, scores []int64) error {
			got, err := reference.Policy{}.Rank(context.Background(), *app, table)
			copy(scores, got)
			return err
		})
}

// AppHost is the app for whose events the hook asks its host for everything. The
// answers are the text of its error.
const AppHost = "host"

// Hook is the reference hook, but for AppHost.
func Hook() *sdk.Guest {
	about := reference.AboutHook()
	var kinds []sdk.Kind
	for _, k := range about.Events {
		kinds = append(kinds, sdk.Kind(k))
	}
	url := ""
	return sdk.Hook(sdk.About{Name: about.Name, Version: about.Version, Configure: func(c *sdk.Config) error {
		url = c.Text("url", "http://default")
		if c.Int("most", 1) > 100 {
			return sdk.Reject("most is over 100")
		}
		return nil
	}}, func(c *sdk.Call, e sdk.Event) error {
		if e.App == AppHost {
			return sdk.Fail("host", everything(c, url))
		}
		return reference.Hook{}.Handle(context.Background(), e)
	}, kinds...)
}

// everything asks for all that there is, and writes down what comes.
func everything(c *sdk.Call, url string) string {
	var all []string
	note := func(what string, got string, err error) {
		if err != nil {
			got = "failure " + err.Error()
			if errors.Is(err, sdk.ErrNotGranted) {
				got = "not granted"
			} else if errors.Is(err, sdk.ErrKeyNotFound) {
				got = "not there"
			}
			if sdk.MayRetry(err) {
				got += ", may be tried again"
			}
		}
		all = append(all, what+"="+got)
	}
	put := c.Put("a/1", []byte("one"))
	note("put", "", put)
	note("put2", "", c.Put("a/2", nil))
	v, err := c.Get("a/1")
	note("get", string(v), err)
	_, err = c.Get("b")
	note("none", "", err)
	keys, err := c.Keys("a/")
	note("keys", strings.Join(keys, ","), err)
	note("delete", "", c.Delete("a/1"))
	note("publish", "", c.Publish("subject", []byte("data")))
	v, err = c.RPC("app", "method", []byte("question"), 3*time.Second)
	note("rpc", string(v), err)
	r, err := c.HTTP(sdk.Request{Method: "GET", URL: url, Headers: []sdk.Header{{Name: "X", Value: "y"}}})
	note("http", strconv.FormatInt(r.Status, 10)+string(r.Body), err)
	x, err := c.Exec(sdk.Command{Command: "true"})
	note("exec", strconv.FormatInt(x.Code, 10), err)
	s, err := c.Secret("token")
	note("secret", s, err)
	now, err := c.Now()
	note("now", strconv.FormatInt(now.UnixMilli(), 10), err)
	v, err = c.Random(4)
	note("random", strconv.Itoa(len(v)), err)
	_, err = c.Random(1 << 20)
	note("too much", "", err)
	note("who", c.Platform+","+c.Node+","+c.App+","+strconv.FormatUint(c.Seed, 10), nil)
	c.Debug("quiet")
	c.Info("done", "notes", strconv.Itoa(len(all)), "odd", "two words \"and\" more\n", "lone")
	c.Warn("warned", "empty", "")
	c.Error("wrong")
	return strings.Join(all, " ")
}

// Backend is the reference backend.
func Backend() *sdk.Guest {
	about := reference.AboutBackend()
	return sdk.Backend(sdk.About{Name: about.Name, Version: about.Version}, &toy{Backend: reference.NewBackend()})
}

type toy struct {
	*reference.Backend
	failed string
}

func (t *toy) Start(_ *sdk.Call, epoch uint64) error {
	t.failed = ""
	ctx := context.Background()
	if epoch > 0 {
		ctx = pluginapi.WithLease(ctx, pluginapi.Lease{Epoch: pluginapi.Epoch(epoch), Valid: func() bool { return true }})
	}
	return t.Backend.Start(ctx)
}

func (t *toy) Stop(*sdk.Call, time.Duration) error {
	t.failed = ""
	return t.Backend.Stop(context.Background())
}

func (t *toy) Status(*sdk.Call) (sdk.Status, error) {
	select {
	case err := <-t.Failed():
		t.failed = err.Error()
	default:
	}
	h, err := t.Health(context.Background())
	return sdk.Status{Status: h.Status, Message: h.Message, Uptime: h.Uptime, Failed: t.failed}, err
}

func (t *toy) Bind(_ *sdk.Call, in sdk.Instance) ([]sdk.Fence, error) { return t.Backend.Bind(in) }
