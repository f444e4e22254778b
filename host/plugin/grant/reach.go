package grant

import (
	"context"
	"fmt"

	"github.com/ozanturksever/go-cluster/host/plugin/capability"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

func (h *Host) kv(ctx context.Context, op string, in []byte) ([]byte, error) {
	var kv wire.KeyValue
	if err := kv.Decode(in); err != nil { // a Key is a KeyValue without a value
		return nil, err
	}
	kind := capability.KVRead
	if op == wire.HostKVPut || op == wire.HostKVDelete {
		kind = capability.KVWrite
	}
	what := func() string { return fmt.Sprintf("%s:%.80q", kind, kv.Key) }
	err := h.allow(h.services.KV != nil, what, func(s capability.Set) bool {
		if op == wire.HostKVKeys {
			return s.AllowsKeys(kv.Key)
		}
		return s.AllowsKey(kind, kv.Key)
	})
	if err != nil {
		return nil, err
	}
	switch op {
	case wire.HostKVGet:
		var v wire.Value
		if v.Value, err = h.services.KV.Get(ctx, kv.Key); err != nil {
			return nil, err
		}
		return v.Append(nil), nil
	case wire.HostKVKeys:
		var keys wire.Keys
		if keys.Keys, err = h.services.KV.Keys(ctx, kv.Key); err != nil {
			return nil, err
		}
		return keys.Append(nil), nil
	case wire.HostKVPut:
		return nil, h.services.KV.Put(ctx, kv.Key, kv.Value)
	}
	return nil, h.services.KV.Delete(ctx, kv.Key)
}

func (h *Host) publish(ctx context.Context, in []byte) ([]byte, error) {
	var p wire.Publish
	if err := p.Decode(in); err != nil {
		return nil, err
	}
	what := func() string { return fmt.Sprintf("publish:%.80q", p.Subject) }
	err := h.allow(h.services.Publisher != nil, what, func(s capability.Set) bool { return s.AllowsPublish(p.Subject) })
	if err != nil {
		return nil, err
	}
	return nil, h.services.Publisher.Publish(ctx, p.Subject, p.Data)
}

func (h *Host) call(ctx context.Context, in []byte) ([]byte, error) {
	var c wire.Call
	if err := c.Decode(in); err != nil {
		return nil, err
	}
	what := func() string { return fmt.Sprintf("rpc:%.63q/%.80q", c.App, c.Method) }
	err := h.allow(h.services.Caller != nil, what, func(s capability.Set) bool { return s.AllowsCall(c.App, c.Method) })
	if err != nil {
		return nil, err
	}
	ctx, cancel, err := within(ctx, c.Timeout)
	if err != nil {
		return nil, err
	}
	defer cancel()
	var v wire.Value
	if v.Value, err = h.services.Caller.Call(ctx, c.App, c.Method, c.Data); err != nil {
		return nil, err
	}
	return v.Append(nil), nil
}

func (h *Host) http(ctx context.Context, in []byte) ([]byte, error) {
	var r wire.HTTPRequest
	if err := r.Decode(in); err != nil {
		return nil, err
	}
	target, err := capability.ParseTarget(r.URL)
	if err != nil {
		return nil, err
	}
	what := func() string { return fmt.Sprintf("http:%.10q %.200q", r.Method, target.Place()) }
	err = h.allow(h.services.Web != nil, what, func(s capability.Set) bool { return s.AllowsHTTP(r.Method, target) })
	if err != nil {
		return nil, err
	}
	if len(r.Headers) > maxHeaders {
		return nil, fmt.Errorf("%w: %d headers: the most is %d", pluginapi.ErrTooLarge, len(r.Headers), maxHeaders)
	}
	ctx, cancel, err := within(ctx, r.Timeout)
	if err != nil {
		return nil, err
	}
	defer cancel()
	reply, err := h.services.Web.Do(ctx, WebRequest{r.Method, target, r.Headers, r.Body, h.granted.NamesAddress(target)})
	if err != nil {
		return nil, err
	}
	return reply.Append(nil), nil
}

func (h *Host) exec(ctx context.Context, in []byte) ([]byte, error) {
	var r wire.ExecRequest
	if err := r.Decode(in); err != nil {
		return nil, err
	}
	what := func() string { return fmt.Sprintf("exec:%.63q", r.Command) }
	err := h.allow(h.services.Commands != nil, what, func(s capability.Set) bool { return s.AllowsName(capability.Exec, r.Command) })
	if err != nil {
		return nil, err
	}
	if len(r.Args) > maxArgs {
		return nil, fmt.Errorf("%w: %d arguments: the most is %d", pluginapi.ErrTooLarge, len(r.Args), maxArgs)
	}
	ctx, cancel, err := within(ctx, r.Timeout)
	if err != nil {
		return nil, err
	}
	defer cancel()
	result, err := h.services.Commands.Run(ctx, r.Command, r.Args, r.Stdin)
	if err != nil {
		return nil, err
	}
	return result.Append(nil), nil
}

func (h *Host) secret(ctx context.Context, in []byte) ([]byte, error) {
	var k wire.Key
	if err := k.Decode(in); err != nil {
		return nil, err
	}
	what := func() string { return fmt.Sprintf("secret:%.63q", k.Key) }
	err := h.allow(h.services.Secrets != nil, what, func(s capability.Set) bool { return s.AllowsName(capability.Secret, k.Key) })
	if err != nil {
		return nil, err
	}
	var v wire.Value
	if v.Value, err = h.services.Secrets.Secret(ctx, k.Key); err != nil {
		return nil, err
	}
	return v.Append(nil), nil
}
