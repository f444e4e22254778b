package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ozanturksever/go-cluster/host/control"
)

func (p *program) nodeCommand() *cobra.Command {
	node := &cobra.Command{Use: "node", Short: "List, show, cordon and label nodes"}
	needCommand(node)
	node.AddCommand(p.nodeListCommand(), p.nodeStatusCommand(), p.cordonCommand(true), p.cordonCommand(false), p.labelCommand())
	return node
}

func (p *program) nodeListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the nodes of the platform", Args: args(),
		RunE: func(c *cobra.Command, _ []string) error {
			return p.ask(c, askTimeout, func(ctx context.Context, client *control.Client) error {
				nodes, err := client.Nodes(ctx)
				if err != nil {
					return err
				}
				return p.print(map[string]any{"nodes": nodes}, func(out *screen) { showList(out, "no nodes", nodeHeader, nodeRows(nodes)) })
			})
		},
	}
}

func (p *program) nodeStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status NODE", Short: "Show one node", Args: args("NODE"),
		RunE: func(c *cobra.Command, a []string) error {
			return p.ask(c, askTimeout, func(ctx context.Context, client *control.Client) error {
				n, err := client.Node(ctx, a[0])
				if err != nil {
					return err
				}
				return p.print(n, func(out *screen) { showNode(out, n) })
			})
		},
	}
}

func (p *program) cordonCommand(on bool) *cobra.Command {
	verb, short := "cordon", "Keep a node from taking a leadership"
	long := "A cordoned node keeps what it leads and takes nothing new. It need not be up."
	if !on {
		verb, short, long = "uncordon", "Let a node take leaderships again", "The node need not be up."
	}
	return &cobra.Command{
		Use: verb + " NODE", Short: short, Long: short + ".\n\n" + long, Args: args("NODE"),
		RunE: func(c *cobra.Command, a []string) error {
			return p.ask(c, askTimeout, func(ctx context.Context, client *control.Client) error {
				if err := client.Cordon(ctx, a[0], on); err != nil {
					return err
				}
				doc := struct {
					Node     string `json:"node"`
					Cordoned bool   `json:"cordoned"`
				}{a[0], on}
				return p.print(doc, func(out *screen) { out.linef("node %s is %sed", a[0], verb) })
			})
		},
	}
}

func (p *program) labelCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "label NODE key=value... key-...",
		Short: "Set and remove labels of a node",
		Long:  "key=value sets a label; key- or -key removes one. The node need not be up.",
		Args: func(c *cobra.Command, a []string) error {
			if len(a) < 2 {
				return usagef("a node and at least one label are needed: write %s", c.UseLine())
			}
			return nil
		},
		RunE: func(c *cobra.Command, a []string) error {
			set, remove, err := parseLabels(a[1:])
			if err != nil {
				return err
			}
			return p.ask(c, askTimeout, func(ctx context.Context, client *control.Client) error {
				labels, err := client.Label(ctx, a[0], set, remove)
				if err != nil {
					return err
				}
				if labels == nil {
					labels = map[string]string{}
				}
				doc := struct {
					Node   string            `json:"node"`
					Labels map[string]string `json:"labels"`
				}{a[0], labels}
				return p.print(doc, func(out *screen) { out.linef("node %s has the labels: %s", a[0], orNone(labelText(labels))) })
			})
		},
	}
}

// parseLabels reads key=value, key- and -key.
func parseLabels(words []string) (set map[string]string, remove []string, err error) {
	set = map[string]string{}
	for _, w := range words {
		if key, value, ok := strings.Cut(w, "="); ok && !strings.HasPrefix(w, "-") {
			if _, twice := set[key]; twice {
				return nil, nil, usagef("label %q is given twice", key)
			}
			set[key] = value
			continue
		}
		key := strings.TrimPrefix(strings.TrimSuffix(w, "-"), "-")
		if len(key) != len(w)-1 || strings.Contains(w, "=") {
			return nil, nil, usagef("%q is no label: write key=value to set one, key- or -key to remove one", w)
		}
		remove = append(remove, key)
	}
	return set, remove, nil
}

// rewriteRemovals turns -key into key- for the label command, where it would be
// taken for flags. -h and -v stay flags.
func rewriteRemovals(root *cobra.Command, words []string) []string {
	c, _, err := root.Find(words)
	if err != nil || c.Name() != "label" {
		return words
	}
	out := slices.Clone(words)
	for i, w := range words {
		if w == "--" {
			break
		}
		key, removal := strings.CutPrefix(w, "-")
		if removal && key != "" && key[0] != '-' && !strings.Contains(key, "=") && w != "-h" && w != "-v" {
			out[i] = key + "-"
		}
	}
	return out
}

const nodeHeader = "NODE,ADDRESS,STATUS,LEADS,APPS,LABELS,LAST SEEN"

func nodeRows(nodes []control.Node) (rows [][]string) {
	for _, n := range nodes {
		rows = append(rows, []string{n.NodeID, n.Address, nodeState(n), fmt.Sprint(n.Leads), strings.Join(n.Apps, ","), labelText(n.Labels), ago(n.LastSeenMS)})
	}
	return rows
}

func nodeState(n control.Node) string {
	state := "down"
	if n.Up {
		state = "up"
	}
	if n.Up && len(n.FailingChecks) > 0 {
		state += ", failing"
	}
	if n.Cordoned {
		state += ", cordoned"
	}
	return state
}

func showNode(out *screen, n control.Node) {
	out.pairs([][2]string{
		{"node", n.NodeID},
		{"platform", n.Platform},
		{"address", n.Address},
		{"status", nodeState(n)},
		{"failing", strings.Join(n.FailingChecks, ", ")},
		{"labels", labelText(n.Labels)},
		{"apps", strings.Join(n.Apps, ", ")},
		{"leads", fmt.Sprint(n.Leads)},
		{"version", n.Version},
		{"incarnation", fmt.Sprint(n.Incarnation)},
		{"joined", when(n.JoinedAt)},
		{"last seen", ago(n.LastSeenMS)},
	})
}

func labelText(labels map[string]string) string {
	var out []string
	for k, v := range sorted(labels) {
		out = append(out, k+"="+v)
	}
	return strings.Join(out, ",")
}

func millis(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
