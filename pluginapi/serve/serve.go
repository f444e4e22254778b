package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/ozanturksever/go-cluster/pluginapi/frame"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Handler does one operation of package wire: the message of its input in, that
// of its answer out. It is called by several goroutines at a time.
type Handler func(ctx context.Context, op string, in []byte) ([]byte, error)

// Operations serves a handler until the host ends the plugin. It is what
// [Backend], [Hook] and [Policy] stand on, for a plugin that wants the bytes.
// A program that no host has started is told so, and ends.
//
// It makes a logger that writes JSON to stderr slog's default, and what the
// handler prints to stdout goes to stderr too.
func Operations(h Handler) {
	stderr := os.Stderr
	var once sync.Once
	// go-plugin puts pipes in the place of stdout and stderr, and loses at the end
	// of the process what is still in them. The first call, which is the host's
	// question what this is, comes after that and before the author's code.
	handle := func(ctx context.Context, op string, in []byte) ([]byte, error) {
		once.Do(func() {
			os.Stdout, os.Stderr = stderr, stderr
			forgetHandshake()
		})
		return h(ctx, op, in)
	}
	slog.SetDefault(slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug})))
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion:  wire.Version,
			MagicCookieKey:   frame.CookieKey,
			MagicCookieValue: frame.CookieValue,
		},
		VersionedPlugins: map[int]plugin.PluginSet{wire.Version: {frame.SetName: &grpcPlugin{handler: handle}}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(frame.MaxMessage), grpc.ForceServerCodecV2(frame.Codec{}))...)
		},
		Logger: hclog.NewNullLogger(), // it tells of nothing that its author could use
	})
}

// grpcPlugin registers the service with go-plugin.
type grpcPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	handler Handler
}

func (p *grpcPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	desc := frame.StreamDesc()
	desc.Handler = func(_ any, stream grpc.ServerStream) error { return serveCall(stream, p.handler) }
	s.RegisterService(&grpc.ServiceDesc{ServiceName: frame.ServiceName, Streams: []grpc.StreamDesc{*desc}}, nil)
	return nil
}

func (p *grpcPlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin is not a client")
}

// serveCall serves one call.
func serveCall(stream grpc.ServerStream, h Handler) error {
	var call frame.Frame
	if err := stream.RecvMsg(&call); err != nil {
		return fmt.Errorf("receive call: %w", err)
	}
	if call.Kind != frame.Call {
		return fmt.Errorf("receive call: a frame of kind %d came first", call.Kind)
	}
	ctx, giveUp := context.WithCancelCause(stream.Context())
	defer giveUp(nil)
	if call.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, call.Timeout)
		defer cancel()
	}
	host := newHost(stream)
	go host.listen(giveUp) // ends with the stream, which ends when this returns
	out, err := h(context.WithValue(ctx, hostKey{}, host), call.Op, call.Body)
	last := frame.Frame{Kind: frame.Answer, Body: out}
	if err != nil {
		failure := wire.FailureOf(err)
		last = frame.Frame{Kind: frame.Failure, Body: failure.Append(nil)}
	}
	return host.send(&last)
}

// forgetHandshake takes out of the environment what was meant for this process
// alone; what it starts shall not have it. The mark GCHOST_PLUGIN stays.
func forgetHandshake() {
	for _, e := range os.Environ() {
		key, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(key, "PLUGIN_") || key == frame.CookieKey {
			os.Unsetenv(key)
		}
	}
}
