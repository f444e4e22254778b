// Package grpcshare is what a host and a binary of hashicorp/go-plugin have to
// agree on.
package grpcshare

import (
	"context"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/ozanturksever/go-cluster/bench/plugins/testdata/pb"
)

// Handshake says that a binary was made for this host.
var Handshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "BENCH_PLUGIN", MagicCookieValue: "score"}

// Plugin is the policy over gRPC.
type Plugin struct {
	plugin.NetRPCUnsupportedPlugin
	Policy pb.PolicyServer // nil in the host
}

// GRPCServer implements plugin.GRPCPlugin.
func (p *Plugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	pb.RegisterPolicyServer(s, p.Policy)
	return nil
}

// GRPCClient implements plugin.GRPCPlugin.
func (p *Plugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return pb.NewPolicyClient(c), nil
}
