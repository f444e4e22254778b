package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// maxListed bounds how many streams one look goes through.
const maxListed = 10_000

// listed is a stream in a list of streams.
type listed struct {
	Config struct {
		Name     string `json:"name"`
		Replicas int    `json:"num_replicas"`
	} `json:"config"`
}

// GrowStreams raises the replicas of every stream of the platform that has
// fewer than wanted, as far as there are servers, and returns the names of
// those that it raised. It never lowers them and changes nothing else. At rest
// it costs one request for each 256 streams.
//
// # Errors
//
// The streams that could not be raised, joined; the others are.
func (c *Conn) GrowStreams(ctx context.Context, names Names, wanted int) (grown []string, err error) {
	var faults []error
	for _, filter := range []string{names.root() + ">", "$O." + names.Blobs() + ".>"} {
		all, err := c.listStreams(ctx, filter)
		if err != nil {
			return grown, fmt.Errorf("grow streams: %w", err)
		}
		for _, l := range all {
			if l.Config.Replicas >= wanted || !strings.Contains(l.Config.Name, "gc_") {
				continue
			}
			n, err := stream{c, l.Config.Name}.grow(ctx, wanted)
			if err != nil {
				faults = append(faults, fmt.Errorf("grow stream %s: %w", l.Config.Name, err))
			} else if n > l.Config.Replicas {
				grown = append(grown, l.Config.Name)
			}
		}
	}
	return grown, errors.Join(faults...)
}

// listStreams lists the streams that have a subject which the filter overlaps.
func (c *Conn) listStreams(ctx context.Context, filter string) (all []listed, err error) {
	for len(all) < maxListed {
		var page struct {
			reply
			Total   int      `json:"total"`
			Streams []listed `json:"streams"`
		}
		question := map[string]any{"subject": filter, "offset": len(all)}
		if err := c.api(ctx, "STREAM.LIST", question, &page); err != nil {
			return nil, fmt.Errorf("list streams: %w", err)
		}
		all = append(all, page.Streams...)
		if len(page.Streams) == 0 || len(all) >= page.Total {
			break
		}
	}
	return all, nil
}
