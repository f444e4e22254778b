// Command grpc is the scoring as a binary of hashicorp/go-plugin.
package main

import (
	"context"

	"github.com/hashicorp/go-plugin"

	"github.com/ozanturksever/go-cluster/bench/plugins/testdata/grpcshare"
	"github.com/ozanturksever/go-cluster/bench/plugins/testdata/pb"
)

func main() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: grpcshare.Handshake,
		Plugins:         plugin.PluginSet{"policy": &grpcshare.Plugin{Policy: &policy{}}},
		GRPCServer:      plugin.DefaultGRPCServer,
	})
}

type policy struct {
	pb.UnimplementedPolicyServer
	held []*pb.Candidate
}

func (p *policy) Rank(_ context.Context, q *pb.Question) (*pb.Scores, error) {
	return pb.Answer(q, &p.held), nil
}
