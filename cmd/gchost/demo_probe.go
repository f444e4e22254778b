package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// reply is what the service says of itself.
type reply struct {
	App   string `json:"app"`
	Node  string `json:"node"`
	Epoch uint64 `json:"epoch"`
	PID   int    `json:"pid"`
	// Starts counts the starts of the service in its database, on all hosts; 0 when
	// it keeps none.
	Starts int `json:"starts"`
}

// probe asks the service again and again, like an impatient user.
type probe struct {
	url    string
	client *http.Client
}

const (
	probeEvery   = 3 * time.Millisecond
	probeTimeout = 300 * time.Millisecond
)

func newProbe(url string) *probe {
	return &probe{url: url, client: &http.Client{Timeout: probeTimeout, Transport: &http.Transport{DisableKeepAlives: true}}}
}

// run tells each change: the first answer of a service, the first silence.
func (p *probe) run(ctx context.Context, events chan<- demoEvent) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	var last reply
	up := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		r, err := p.ask(ctx)
		switch {
		case err == nil && (!up || r != last):
			up, last = true, r
			offer(events, demoEvent{at: time.Now(), kind: eventReply, reply: &r})
		case err != nil && up && ctx.Err() == nil:
			up = false
			offer(events, demoEvent{at: time.Now(), kind: eventFail, text: err.Error()})
		}
	}
}

func (p *probe) ask(ctx context.Context) (reply, error) {
	var r reply
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return r, err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return r, err
	}
	defer res.Body.Close()
	return r, json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&r)
}
