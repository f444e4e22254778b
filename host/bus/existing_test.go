package bus

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Who asks for an existing stream makes none, waits until another one has, and
// finds its replicas.
func TestOpenExisting(t *testing.T) {
	servers, _ := startCluster(t, 3)
	c := dialServer(t, servers[0])
	cfg := names(t, "p").Records()
	cfg.Existing = true
	eventually(t, "JetStream knows no such stream", func() bool {
		_, err := OpenRecords(within(t, time.Second), c, cfg)
		expect(t, err, pluginapi.ErrTimeout)
		return strings.Contains(err.Error(), "stream not found")
	})

	opened := make(chan *Records, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func(cfg RecordsConfig) {
		r, err := OpenRecords(ctx, c, cfg)
		if err != nil {
			t.Errorf("the stream is there now: %v", err)
		}
		opened <- r
	}(cfg)
	cfg.Existing = false
	cfg.Replicas = 3
	made, err := OpenRecords(within(t, patience), dialServer(t, servers[1]), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r := <-opened; r == nil || r.Replicas() != 3 || made.Replicas() != 3 {
		t.Errorf("replicas of what was found and made: %+v, %+v", r, made)
	}
	eventually(t, "all copies are up", func() bool {
		l, err := made.Leader(within(t, patience))
		all, up := l.Servers()
		return err == nil && all == 3 && up == 3
	})
}

// A copy that is not offline may be dead all the same.
func TestSilentReplica(t *testing.T) {
	for _, c := range []struct {
		r    replicaInfo
		want bool
	}{
		{replicaInfo{Current: true, Active: time.Second}, false},
		{replicaInfo{Current: false, Active: time.Second}, false}, // it catches up
		{replicaInfo{Current: true}, false},
		{replicaInfo{Current: false}, true}, // never heard
		{replicaInfo{Current: true, Active: silentAfter + 1}, true},
		{replicaInfo{Current: true, Offline: true, Active: 1}, true},
	} {
		if got := c.r.silent(); got != c.want {
			t.Errorf("%+v is silent: %v", c.r, got)
		}
	}
}
