package cluster

import (
	"context"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus/embedded"
)

// Witness is a voter without apps: a server of the cluster that leads nothing,
// so that two hosts have a majority when one of them is lost.
type Witness struct{ server *embedded.Server }

// NewWitness checks the configuration and returns a witness that has started
// nothing. Name, Platform, Dir, Secret and Cluster must be set.
func NewWitness(cfg EmbeddedConfig) (*Witness, error) {
	s, err := embedded.New(cfg)
	if err != nil {
		return nil, err
	}
	return &Witness{s}, nil
}

// handOver is how long a witness tries to hand over what it leads.
const handOver = 5 * time.Second

// Run runs the witness until the context ends. What its server leads is handed
// over first.
func (w *Witness) Run(ctx context.Context) error {
	return w.server.RunAndHandOver(ctx, handOver)
}
