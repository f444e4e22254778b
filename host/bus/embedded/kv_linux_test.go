package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// kvCluster is a cluster of three servers, each a process of its own.
type kvCluster struct {
	t        *testing.T
	children map[string]*child
	urls     []string
}

func startKVCluster(t *testing.T) *kvCluster {
	c := &kvCluster{t: t, children: map[string]*child{}}
	for _, cfg := range voters(t, 3) {
		ch := &child{name: cfg.Name, cfg: cfg, log: cfg.Dir + ".log"}
		startChild(t, ch)
		t.Cleanup(func() { ch.kill() })
		c.children[cfg.Name] = ch
	}
	for _, ch := range c.children {
		c.urls = append(c.urls, ch.report(t).URL)
	}
	return c
}

func (c *kvCluster) healthy() {
	c.t.Helper()
	eventually(c.t, "all servers are up to date", func() bool {
		for _, ch := range c.children {
			if !healthy(ch.report(c.t).State, 3) {
				return false
			}
		}
		return true
	})
}

func (c *kvCluster) bucket(id string) (*bus.Bucket, *bus.Conn) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cfg := bus.Config{URLs: c.urls, Name: id, InboxPrefix: bus.InboxPrefix(bus.RoleNode, id)}
	cfg.Auth.User, cfg.Auth.Password = bus.Login(testSecret, bus.RoleNode, id)
	conn, err := bus.Dial(ctx, cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := conn.Close(ctx); err != nil {
			c.t.Error(err)
		}
	})
	app, err := names(c.t).App("a")
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := bus.OpenBucket(ctx, conn, app, 3)
	if err != nil {
		c.t.Fatal(err)
	}
	return b, conn
}

// leader is the server that leads the bucket's stream.
func (c *kvCluster) leader(conn *bus.Conn) (name string) {
	c.t.Helper()
	app, err := names(c.t).App("a")
	if err != nil {
		c.t.Fatal(err)
	}
	eventually(c.t, "the bucket has a leader", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s, err := conn.JetStream().Stream(ctx, "KV_"+app.Bucket())
		if err != nil || s.CachedInfo().Cluster == nil || s.CachedInfo().Cluster.Leader == "" {
			return false
		}
		name = s.CachedInfo().Cluster.Leader
		return true
	})
	return name
}

func (c *kvCluster) signal(name string, s syscall.Signal) {
	c.t.Helper()
	if err := c.children[name].cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// stepDown lets another server lead the bucket's stream.
func (c *kvCluster) stepDown(conn *bus.Conn) {
	app, _ := names(c.t).App("a")
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = conn.Request(ctx, "$JS.API.STREAM.LEADER.STEPDOWN.KV_"+app.Bucket(), nil)
}

// pauseTime is long enough for clients of the paused server to give up a call,
// begin another, and have that answered when the server wakes, as the leader
// that it is no more.
const pauseTime = 2200 * time.Millisecond

// faults disturbs the cluster, and lets the clients work before each fault.
func (c *kvCluster) faults(conn *bus.Conn, clients []*bus.Conn, h *kvHistory) {
	for _, fault := range []string{"step down", "kill", "reconnect", "pause"} {
		c.healthy()
		have := h.len()
		eventually(c.t, "the clients have worked", func() bool { return h.len() >= have+200 })
		leader := c.leader(conn)
		switch fault {
		case "step down":
			c.stepDown(conn)
		case "reconnect":
			for _, cl := range clients {
				_ = cl.NATS().ForceReconnect()
			}
		case "kill":
			c.children[leader].kill()
			c.write(conn)
			startChild(c.t, c.children[leader])
		case "pause":
			until := time.After(pauseTime)
			c.signal(leader, syscall.SIGSTOP)
			c.write(conn)
			<-until
			c.signal(leader, syscall.SIGCONT)
		}
		c.write(conn)
	}
	c.healthy()
}

// write waits until the bucket takes changes again.
func (c *kvCluster) write(conn *bus.Conn) {
	c.t.Helper()
	app, _ := names(c.t).App("a")
	eventually(c.t, "the bucket takes changes", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := conn.Request(ctx, "$KV."+app.Bucket()+".probe", nil)
		return err == nil
	})
}

// TestKVHistory: whatever clients do to a bucket while its servers are killed,
// paused and lose their leadership, and connections break, could have happened
// one call after the other, in the order in which the calls were made.
func TestKVHistory(t *testing.T) {
	c := startKVCluster(t)
	c.healthy()
	_, admin := c.bucket("admin")
	h := &kvHistory{begun: time.Now(), count: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var clients sync.WaitGroup
	var buckets []*bus.Bucket
	var conns []*bus.Conn
	for i := range 6 {
		b, conn := c.bucket(fmt.Sprint("c", i))
		buckets, conns = append(buckets, b), append(conns, conn)
		clients.Go(func() { h.client(ctx, i, b) })
	}
	told := followKV(t, buckets[0])
	c.faults(admin, conns, h)
	cancel()
	clients.Wait()
	for i := range 4 { // what is there in the end belongs to it
		for id, b := range buckets {
			h.call(id, b, kvCall{op: "read", key: fmt.Sprint("k", i)})
		}
	}
	t.Logf("%d calls: %v", len(h.ops), h.count)
	for _, must := range []string{"put ok", "update ok", "create ok", "delete ok", "read ok"} {
		if h.count[must] < 10 {
			t.Errorf("too little has happened: %d times %q", h.count[must], must)
		}
	}
	h.check(t)
	for i := range 4 {
		key := fmt.Sprint("k", i)
		eventually(t, "the watch has what is stored", func() bool {
			e, _ := h.call(0, buckets[1], kvCall{op: "read", key: key})
			return told.value(key) == string(e.Value)
		})
	}
}

// kvTold is what a watch has told.
type kvTold struct {
	mu     sync.Mutex
	values map[string]string
	all    []bus.Entry
}

func (k *kvTold) value(key string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.values[key]
}

func followKV(t *testing.T, b *bus.Bucket) *kvTold {
	k := &kvTold{values: map[string]string{}}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		_ = b.Watch(ctx, ">", func(e bus.Entry) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.all = append(k.all, e)
			switch e.Op {
			case bus.OpResync:
				clear(k.values)
			case bus.OpPut, bus.OpDelete:
				k.values[e.Key] = string(e.Value)
			}
		})
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return k
}

// TestKVFenced: two leaders that both believe in their lease write in turn,
// fenced, while the bucket's leader changes. After the first change of the newer
// one was stored, none of the older one is, acknowledged or not.
func TestKVFenced(t *testing.T) {
	c := startKVCluster(t)
	c.healthy()
	_, admin := c.bucket("admin")
	watched, _ := c.bucket("w")
	told := followKV(t, watched)
	yes := func() bool { return true }
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	var leaders sync.WaitGroup
	for epoch := range 5 {
		b, _ := c.bucket(fmt.Sprint("e", epoch))
		var refused atomic.Int64
		f := b.EpochWriter(pluginapi.Epoch(epoch+1), yes, func() { refused.Add(1) })
		acked := make(chan struct{}, 1000)
		leaders.Go(func() {
			for n := 0; ; n++ {
				call, cancel := context.WithTimeout(ctx, 2*time.Second)
				err := writeFenced(call, f, epoch, n)
				cancel()
				switch {
				case err == nil:
					select {
					case acked <- struct{}{}:
					default:
					}
				case errors.Is(err, pluginapi.ErrFenced) || ctx.Err() != nil:
					if refused.Load() == 0 {
						t.Errorf("epoch %d: %v is not counted", epoch+1, err)
					}
					return
				}
			}
		})
		for range 20 {
			select {
			case <-acked:
			case <-ctx.Done():
				t.Fatalf("epoch %d cannot write", epoch+1)
			}
		}
		if epoch%2 == 1 {
			c.stepDown(admin)
		}
	}
	last, _ := c.bucket("last")
	end := last.EpochWriter(9, yes, nil)
	if err := end.Raise(ctx); err != nil {
		t.Fatal(err)
	}
	leaders.Wait() // each of them is refused
	if _, err := end.Put(ctx, "k", []byte("9 end")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end at the watch", func() bool { return told.value("k") == "9 end" })
	checkFenced(t, told)
}

func writeFenced(ctx context.Context, f *bus.EpochWriter, epoch, n int) error {
	value := fmt.Appendf(nil, "%d %d", epoch, n)
	var err error
	if epoch%2 == 0 {
		_, err = f.Apply(ctx, []bus.Change{{Key: "k", Value: value}, {Key: "k2", Value: value}})
	} else {
		_, err = f.Put(ctx, "k", value)
	}
	return err
}

// checkFenced holds the order of the stream against the epochs in the values.
func checkFenced(t *testing.T, told *kvTold) {
	t.Helper()
	told.mu.Lock()
	defer told.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(told.all), func(e bus.Entry) bool { return e.Op != bus.OpPut || !strings.HasPrefix(e.Key, "k") })
	slices.SortFunc(all, func(a, b bus.Entry) int { return int(int64(a.Revision) - int64(b.Revision)) })
	if len(all) < 100 {
		t.Errorf("only %d changes were stored", len(all))
	}
	highest := ""
	for _, e := range all {
		who, _, _ := strings.Cut(string(e.Value), " ")
		if who < highest {
			t.Errorf("revision %d is %q, after a change of %s", e.Revision, e.Value, highest)
		}
		highest = max(highest, who)
	}
}
