package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ozanturksever/go-cluster/host/control"
)

// statusDocument is the JSON of status.
type statusDocument struct {
	control.Status
	Healthy  bool              `json:"healthy"`
	Problems []control.Problem `json:"problems"`
}

func (p *program) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the platform as one node sees it",
		Long:  "Status shows the node that answers, the servers behind the platform, the nodes, and\nwho leads each app. It exits with 6 when something of that is not well.",
		Args:  args(),
		RunE: func(c *cobra.Command, _ []string) error {
			return p.ask(c, askTimeout, func(ctx context.Context, client *control.Client) error {
				s, err := client.Status(ctx)
				if err != nil {
					return err
				}
				s.NATS.URL = redactURLs(s.NATS.URL)
				h := control.Check(s)
				if err := p.print(statusDocument{s, h.Healthy, h.Problems}, func(out *screen) { p.showStatus(out, s, h) }); err != nil {
					return err
				}
				return verdict(h)
			})
		},
	}
}

func (p *program) healthCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Ask every node and say what is wrong",
		Long:  "Health asks every live node for its apps and services and lists what is not well. It\nexits with 6 when there is something.",
		Args:  args(),
		RunE: func(c *cobra.Command, _ []string) error {
			return p.ask(c, askTimeout, func(ctx context.Context, client *control.Client) error {
				h, err := client.Health(ctx)
				if err != nil {
					return err
				}
				if err := p.print(h, func(out *screen) { showHealth(out, h) }); err != nil {
					return err
				}
				return verdict(h)
			})
		},
	}
}

func verdict(h control.Health) error {
	if !h.Healthy {
		return errUnhealthy
	}
	return nil
}

func showHealth(out *screen, h control.Health) {
	if h.Healthy {
		out.linef("healthy")
	}
	for _, pr := range h.Problems {
		out.linef("PROBLEM  %s", problemText(pr))
	}
	for _, w := range h.Warnings {
		out.linef("warning  %s", w)
	}
}

func problemText(pr control.Problem) string {
	what := pr.Scope
	if pr.Name != "" {
		what += " " + pr.Name
	}
	return what + ": " + pr.Text
}

func (p *program) showStatus(out *screen, s control.Status, h control.Health) {
	rows := [][2]string{
		{"platform", s.Platform},
		{"answered by", strings.TrimSpace(s.Node + " " + s.Version)},
		{"controller", orNone(s.Controller)},
		{"session", sessionText(s.Session)},
		{"nats", natsText(s.NATS)},
	}
	if p.verbose {
		rows = append(rows, [2]string{"incarnation", fmt.Sprint(s.Incarnation)}, [2]string{"raft tuned", yesNo(s.NATS.RaftTuned)})
		for stream, leader := range sorted(s.NATS.Leaders) {
			rows = append(rows, [2]string{"stream " + stream, "led by " + orNone(leader)})
		}
	}
	out.pairs(rows)
	out.gap()
	showList(out, "no nodes", nodeHeader, nodeRows(s.Nodes))
	if len(s.Apps) > 0 {
		out.gap()
		out.table("APP,MODE,LEADER,EPOCH", appRows(s.Apps, false))
	}
	out.gap()
	showHealth(out, h)
}

func sessionText(s control.Session) string {
	if s.State != control.SessionLive {
		return orNone(s.State)
	}
	return s.State + ", valid for " + short(millis(s.ValidForMS))
}

func natsText(n control.NATS) string {
	text := n.Mode
	if n.Voters > 0 {
		text += fmt.Sprintf(", %d of %d voters up", n.VotersUp, n.Voters)
	}
	if n.URL != "" {
		text += ", " + n.URL
	}
	return text
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
