package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ozanturksever/go-cluster/host/control"
)

// tableEvery is the time between two looks at the platform.
const tableEvery = 300 * time.Millisecond

// eventGone says that the process of a dead host's service has gone too.
const eventGone = "service-gone"

// watch shows the platform and tells each failover until the context ends or
// the wanted kills are done.
func (d *demo) watch(ctx context.Context) error {
	board := newBoard(d.p.stdout, d.p.json)
	board.say("gchost demo: %d hosts on this machine, data and logs in %s", demoHosts, d.dir)
	statuses := make(chan control.Status, 1)
	go d.poll(ctx, statuses)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	begun := time.Now()
	for {
		select {
		case <-ctx.Done():
			board.say("ending")
			return nil
		case e := <-d.events:
			if err := d.happened(ctx, board, e); err != nil {
				return err
			}
		case s := <-statuses:
			board.table(d.rows(s))
			d.judge(s)
		case now := <-tick.C:
			if err := d.due(board, now, begun); err != nil {
				return err
			}
			if d.kills > 0 && len(d.result.Failovers) >= d.kills {
				return nil
			}
		}
	}
}

// judge notes since when all is well: all hosts run and are members, and the
// service answers.
func (d *demo) judge(s control.Status) {
	well := len(s.Nodes) == demoHosts && !d.story.open() && d.story.serving.PID != 0 && len(s.NATS.Warnings) == 0
	for _, h := range d.hosts {
		well = well && h.pid() != 0
	}
	switch {
	case !well:
		d.calm = time.Time{}
	case d.calm.IsZero():
		d.calm = time.Now()
	}
}

// due does what time asks for: restarts, kills, and giving up.
func (d *demo) due(board *board, now, begun time.Time) error {
	for _, h := range d.hosts {
		h.mu.Lock()
		back := !h.exited.IsZero() && now.Sub(h.exited) > demoRestart
		h.mu.Unlock()
		if back {
			board.say("starting host %s again", h.name)
			if err := h.start(d.events); err != nil {
				return err
			}
		}
	}
	switch {
	case d.story.serving.PID == 0 && len(d.result.Failovers) == 0 && now.Sub(begun) > demoStart:
		return fmt.Errorf("the service did not answer within %v: see the logs in %s", demoStart, d.dir)
	case d.story.open() && now.Sub(d.story.now.at) > demoFailover:
		return fmt.Errorf("the service was not back within %v: see the logs in %s", demoFailover, d.dir)
	case d.kills > 0 && !d.calm.IsZero() && now.Sub(d.calm) > demoSettle:
		d.calm = time.Time{}
		if h := d.host(d.story.serving.Node); h != nil && h.pid() != 0 {
			board.say("kill -9 of the leader's host %s", h.name)
			return h.cmd.Process.Kill()
		}
	}
	return nil
}

func (d *demo) host(name string) *demoHost {
	for _, h := range d.hosts {
		if h.name == name {
			return h
		}
	}
	return nil
}

// happened takes an event into the story of the failover and tells it.
func (d *demo) happened(ctx context.Context, board *board, e demoEvent) error {
	if e.kind == eventExit {
		board.say("host %s has died: %s", e.host, e.text)
		if e.host == d.story.serving.Node && d.story.serving.PID != 0 {
			go awaitGone(ctx, d.story.serving.PID, e.host, d.events)
		}
	}
	first := d.story.serving.PID == 0
	done, over := d.story.take(e)
	if first && d.story.serving.PID != 0 {
		board.say("%s serves http://%s in epoch %d", d.story.serving.Node, d.address, d.story.serving.Epoch)
		d.hint(board)
	}
	if over {
		d.result.Failovers = append(d.result.Failovers, done)
		for _, line := range done.lines() {
			board.say("%s", line)
		}
		d.hint(board)
	}
	return nil
}

// hint says how to break it.
func (d *demo) hint(board *board) {
	if h := d.host(d.story.serving.Node); h != nil && d.kills == 0 {
		board.say("kill its host: kill -9 %d    freeze it: kill -STOP %d    ask the service: curl http://%s    end: Ctrl-C", h.pid(), h.pid(), d.address)
	}
}

// awaitGone tells when a process has gone.
func awaitGone(ctx context.Context, pid int, host string, events chan<- demoEvent) {
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	for alive(pid) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	offer(events, demoEvent{at: time.Now(), host: host, kind: eventGone})
}

// poll asks the platform how it is.
func (d *demo) poll(ctx context.Context, statuses chan<- control.Status) {
	tick := time.NewTicker(tableEvery)
	defer tick.Stop()
	var conn conversation
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if conn == nil {
			conn = d.connect(ctx)
			continue
		}
		ask, cancel := context.WithTimeout(ctx, tableEvery)
		s, err := control.NewClient(conn).Status(ask)
		cancel()
		if err == nil {
			select {
			case statuses <- s:
			case <-ctx.Done():
			}
		}
	}
}

// connect goes to the first host that can be reached; the connection then knows
// the others.
func (d *demo) connect(ctx context.Context) conversation {
	for _, h := range d.hosts {
		cfg := Config{Platform: demoPlatform, DataDir: h.place().Dir}
		if conn, err := connect(ctx, cfg, Origins{}); err == nil {
			return conn
		}
	}
	return nil
}

// rows are the lines of the table.
func (d *demo) rows(s control.Status) [][]string {
	rows := [][]string{{"NODE", "PID", "HOST", "ROLE", "EPOCH", "SERVICE"}}
	leader, epoch := "", uint64(0)
	for _, a := range s.Apps {
		if a.Name == demoApp {
			leader, epoch = a.Leader, uint64(a.Epoch)
		}
	}
	for _, h := range d.hosts {
		row := []string{h.name, "-", "dead", "-", "", ""}
		if pid := h.pid(); pid != 0 {
			row[1], row[2] = fmt.Sprint(pid), "starting"
		}
		for _, n := range s.Nodes {
			if n.NodeID == h.name && h.pid() != 0 {
				row[2], row[3] = "member", "standby"
			}
		}
		if h.name == leader {
			row[3], row[4] = "leader", fmt.Sprint(epoch)
		}
		if h.name == d.story.serving.Node {
			row[5] = fmt.Sprintf("http://%s pid %d epoch %d", d.address, d.story.serving.PID, d.story.serving.Epoch)
		}
		rows = append(rows, row)
	}
	return rows
}
