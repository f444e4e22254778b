package bus

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// BenchmarkBucket compares each call with the same one of nats.go, made in turn
// on the same connection, server and settings: x-raw is the ratio of the
// medians. raw-direct is nats.go with direct gets, which we do not use because a
// copy that lags may answer.
//
//	go test -run '^$' -bench Bucket ./host/bus
func BenchmarkBucket(b *testing.B) {
	one := startServer(b)
	b.Run("R1", func(b *testing.B) { benchBucket(b, one) })
	three, _ := startCluster(b, 3)
	b.Run("R3", func(b *testing.B) { benchBucket(b, three[0]) })
}

func benchBucket(b *testing.B, s *server.Server) {
	c := dialServer(b, s)
	ours := openBucket(b, c)
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	js := c.JetStream()
	cfg := bucketStream(appNames(b, "raw"))
	cfg.Name, cfg.Subjects, cfg.Replicas = "KV_raw", []string{"$KV.raw.>"}, replicasOf(b, ours)
	cfg.RePublish.Source = "$KV.raw.>"
	must(js.CreateOrUpdateStream(ctx, cfg))
	raw := must(js.KeyValue(ctx, "raw"))
	for _, name := range []string{cfg.Name, ours.r.cfg.Stream} { // both led by the server that we speak to
		r := newRecords(stream{c, name}, RecordsConfig{Stream: name}, time.Time{}, recordKind())
		eventually(b, "the leader of "+name+" is "+s.Name(), func() bool {
			l, err := r.Leader(within(b, time.Second))
			if err == nil && l.Leader != s.Name() && len(l.Replicas) > 0 {
				err = r.StepDownLeader(within(b, time.Second), s.Name())
			}
			return err == nil && (l.Leader == s.Name() || len(l.Replicas) == 0)
		})
	}
	direct := must(js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "direct", History: KVHistory, Storage: jetstream.FileStorage, Replicas: cfg.Replicas}))
	for _, size := range []int{128, 64 << 10} {
		value := make([]byte, size)
		run := func(name string, raw, ours func() error) {
			b.Run(fmt.Sprintf("%s-%d", name, size), func(b *testing.B) { compare(b, raw, ours) })
		}
		run("put", func() error { return second(raw.Put(ctx, "k", value)) }, func() error { return second(ours.Put(ctx, "k", value)) })
		run("get", func() error { return second(raw.Get(ctx, "k")) }, func() error { return second(ours.Get(ctx, "k")) })
		must(direct.Put(ctx, "k", value))
		run("get-raw-direct", func() error { return second(direct.Get(ctx, "k")) }, func() error { return second(ours.Get(ctx, "k")) })
		atRaw, atOurs := must(raw.Put(ctx, "k", value)), must(ours.Put(ctx, "k", value))
		run("update", func() (err error) { atRaw, err = raw.Update(ctx, "k", value, atRaw); return err },
			func() (err error) { atOurs, err = ours.Update(ctx, "k", value, atOurs); return err })
		f := ours.EpochWriter(1, func() bool { return true }, nil)
		run("put-fenced", func() error { return second(raw.Put(ctx, "k", value)) }, func() error { return second(f.Put(ctx, "k", value)) })
		run("get-linearizable", func() error { return second(raw.Get(ctx, "k")) }, func() error { return second(ours.GetLinearizable(ctx, "k")) })
	}
	b.Run("watch", func(b *testing.B) { benchWatch(ctx, b, raw, ours) })
}

// replicasOf is how many replicas the bucket's stream has.
func replicasOf(b *testing.B, k *Bucket) int {
	return 1 + len(must(k.r.Leader(within(b, patience))).Replicas)
}

// compare makes both calls in turn.
func compare(b *testing.B, raw, ours func() error) {
	var took [2][]time.Duration
	for b.Loop() {
		for i, call := range []func() error{raw, ours} {
			start := time.Now()
			if err := call(); err != nil {
				b.Fatal(err)
			}
			took[i] = append(took[i], time.Since(start))
		}
	}
	report(b, took, 0.5, "x-raw")
}

// report prints the ratio of one quantile, and both in microseconds.
func report(b *testing.B, took [2][]time.Duration, q float64, unit string) {
	var at [2]float64
	for i, all := range took {
		slices.Sort(all)
		at[i] = float64(all[min(len(all)-1, int(q*float64(len(all))))].Nanoseconds()) / 1000
	}
	b.ReportMetric(at[0], "raw-us")
	b.ReportMetric(at[1], "ours-us")
	b.ReportMetric(at[1]/at[0], unit)
	b.ReportMetric(0, "ns/op")
}

// benchWatch is the time from the call of Put until a watch has told of it.
func benchWatch(ctx context.Context, b *testing.B, raw jetstream.KeyValue, ours *Bucket) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	value := make([]byte, 128)
	theirs := must(raw.Watch(ctx, "w"))
	defer theirs.Stop()
	entries := must(ours.Entries(ctx, "w"))
	for e := range entries {
		if e.Op == OpSynced {
			break
		}
	}
	for e := range theirs.Updates() {
		if e == nil {
			break
		}
	}
	var took [2][]time.Duration
	for b.Loop() {
		start := time.Now()
		must(raw.Put(ctx, "w", value))
		<-theirs.Updates()
		mid := time.Now()
		must(ours.Put(ctx, "w", value))
		if e := <-entries; e.Op != OpPut {
			b.Fatalf("told %+v", e)
		}
		took[0], took[1] = append(took[0], mid.Sub(start)), append(took[1], time.Since(mid))
	}
	report(b, took, 0.99, "p99-x-raw")
}
