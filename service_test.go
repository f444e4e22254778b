package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	cluster "github.com/ozanturksever/go-cluster"
	"github.com/ozanturksever/go-cluster/host/bus"
)

const serviceEnv = "GC_TEST_SERVICE" // names the bucket of another app

// serviceMain is the service of an app: it knows nothing but its environment.
// It puts what it was told into its app's bucket, tries that of another app, and
// stays.
func serviceMain() int {
	told := map[string]string{}
	for _, e := range os.Environ() {
		if k, v, _ := strings.Cut(e, "="); strings.HasPrefix(k, "GCHOST_") {
			told[k] = v
		}
	}
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	refused := make(chan error, 100)
	nc, err := nats.Connect(told["GCHOST_APP_NATS_URL"], nats.UserInfo(told["GCHOST_APP_NATS_USER"], told["GCHOST_APP_NATS_PASSWORD"]),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := nc.Publish("$KV."+os.Getenv(serviceEnv)+".seen", []byte("from another app")); err != nil {
		return fail(err)
	}
	select {
	case err := <-refused:
		told["refused"] = err.Error()
	case <-ctx.Done():
		return fail(errors.New("it may write the bucket of another app"))
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fail(err)
	}
	kv, err := js.KeyValue(ctx, told["GCHOST_APP_KV_BUCKET"])
	if err != nil {
		return fail(err)
	}
	delete(told, "GCHOST_APP_NATS_PASSWORD")
	text, err := json.Marshal(told)
	if err != nil {
		return fail(err)
	}
	if _, err := kv.Put(ctx, "seen", text); err != nil {
		return fail(err)
	}
	select {}
}

// TestServicesReachTheirData: the process of an app finds in its environment how
// to reach its app's data, on a node with a server of its own and on one that has
// joined; it reaches no other app's, and no secret stands in the nodes' logs.
func TestServicesReachTheirData(t *testing.T) {
	t.Setenv("GCHOST_CLUSTER__SECRET", joinSecret)
	dir, addr := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1)[0])
	voter := newNode(t, "data", "v1", "", cluster.WithDataDir(filepath.Join(dir, "v1")),
		cluster.WithEmbedded(cluster.EmbeddedConfig{Listen: addr, Secret: joinSecret})).start()
	var buckets []jetstream.KeyValue
	for _, app := range []string{"web", "shop"} {
		kv, err := voter.JetStream().CreateKeyValue(within(t, patience), jetstream.KeyValueConfig{Bucket: "gc_4_data_" + app})
		must(t, err)
		buckets = append(buckets, kv)
	}
	must(t, voter.stop()) // the buckets are there before the services
	voter = newNode(t, "data", "v1", "", cluster.WithDataDir(filepath.Join(dir, "v1")), cluster.WithEmbedded(cluster.EmbeddedConfig{Listen: addr, Secret: joinSecret}))
	joined := newNode(t, "data", "j1", "", cluster.WithJoin(cluster.JoinConfig{Servers: []string{addr}, Secret: joinSecret}))
	for i, n := range []*node{voter, joined} {
		other := buckets[1-i].Bucket()
		n.app(cluster.NewApp([]string{"web", "shop"}[i], cluster.WithBackend(cluster.Process(cluster.ProcessConfig{
			Command: os.Args[0], Env: []string{serviceEnv + "=" + other},
		}))))
		n.start()
	}
	for i, n := range []*node{voter, joined} {
		app := []string{"web", "shop"}[i]
		kv, err := voter.JetStream().KeyValue(within(t, patience), buckets[i].Bucket())
		must(t, err)
		var entry jetstream.KeyValueEntry
		eventually(t, "the service of "+app+" has put what it was told", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			entry, err = kv.Get(ctx, "seen")
			return err == nil
		})
		var told map[string]string
		must(t, json.Unmarshal(entry.Value(), &told))
		for key, want := range map[string]string{
			"GCHOST_PLATFORM": "data", "GCHOST_NODE": n.NodeID(), "GCHOST_APP": app, "GCHOST_EPOCH": "1",
			"GCHOST_APP_NATS_URL": "nats://" + addr, "GCHOST_APP_NATS_USER": "app." + app, "GCHOST_APP_KV_BUCKET": "gc_4_data_" + app, "GCHOST_CLUSTER__SECRET": "",
		} {
			if told[key] != want {
				t.Errorf("%s of %s is %q, want %q", key, app, told[key], want)
			}
		}
		if !strings.Contains(told["refused"], "ermissions") || entry.Revision() != 1 {
			t.Errorf("%s: refused %q, revision %d", app, told["refused"], entry.Revision())
		}
	}
	_, password := bus.Login(joinSecret, bus.RoleApp, "web")
	for _, n := range []*node{voter, joined} {
		if log := n.log.String(); slices.ContainsFunc([]string{joinSecret, password}, func(s string) bool { return strings.Contains(log, s) }) {
			t.Errorf("a secret stands in the log of %s", n.NodeID())
		}
	}
}
