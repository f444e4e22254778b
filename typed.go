package cluster

import (
	"context"
	"encoding/json"
	"fmt"
)

// CallTyped is [RPC.CallJSON] with types: it sends req as JSON and returns the
// answer as a Resp.
//
//	sum, err := cluster.CallTyped[int](ctx, app.RPC(), cluster.TargetLeader, "sum", []int{1, 2, 3})
//
// # Errors
//
// As of CallJSON.
func CallTyped[Resp, Req any](ctx context.Context, r *RPC, target, method string, req Req) (Resp, error) {
	var resp Resp
	err := r.CallJSON(ctx, target, method, req, &resp)
	return resp, err
}

// HandleTyped is [App.Handle] with types: requests and answers are JSON. A
// request that is not a Req gets ErrInvalid, and fn is not called.
//
//	cluster.HandleTyped(app, "sum", func(ctx context.Context, all []int) (sum int, err error) { ... })
func HandleTyped[Resp, Req any](a *App, method string, fn func(context.Context, Req) (Resp, error)) {
	if fn == nil {
		a.Handle(method, nil)
		return
	}
	a.Handle(method, func(ctx context.Context, req []byte) ([]byte, error) {
		var in Req
		if err := json.Unmarshal(req, &in); err != nil {
			return nil, fmt.Errorf("%w: read request of %s: %w", ErrInvalid, method, err)
		}
		out, err := fn(ctx, in)
		if err != nil {
			return nil, err
		}
		return json.Marshal(out)
	})
}
