package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

func appNames(t testing.TB, app string) AppNames {
	t.Helper()
	a, err := names(t, "p").App(app)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func openBucket(t testing.TB, c *Conn) *Bucket {
	t.Helper()
	b, err := OpenBucket(within(t, patience), c, appNames(t, "a"), 0)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bucket is a bucket on a server of its own.
func bucket(t testing.TB) *Bucket {
	t.Helper()
	return openBucket(t, dialServer(t, startServer(t)))
}

func TestBucketChanges(t *testing.T) {
	b, ctx := bucket(t), within(t, patience)
	_, err := b.Get(ctx, "k")
	expect(t, err, pluginapi.ErrKeyNotFound)
	expect(t, b.Delete(ctx, "never"), nil)
	if _, err = b.Update(ctx, "k", nil, 7); !errors.Is(err, ErrConflict) || errors.Is(err, ErrUnknown) {
		t.Errorf("update of a key that has no value: %v", err)
	}
	r1 := must(b.Create(ctx, "k", []byte("1")))
	_, err = b.Create(ctx, "k", []byte("x"))
	expect(t, err, pluginapi.ErrKeyExists)
	r2 := must(b.Update(ctx, "k", []byte("2"), r1))
	_, err = b.Update(ctx, "k", []byte("x"), r1)
	expect(t, err, ErrConflict)
	expect(t, b.DeleteRevision(ctx, "k", r1), ErrConflict)
	for _, get := range []func(context.Context, string) (Entry, error){b.Get, b.GetLinearizable} {
		e, err := get(ctx, "k")
		if err != nil || string(e.Value) != "2" || e.Revision != r2 || e.Op != OpPut || time.Since(e.Created) > time.Hour {
			t.Errorf("got %+v %v", e, err)
		}
	}
	if err := b.DeleteRevision(ctx, "k", r2); err != nil {
		t.Fatal(err)
	}
	_, err = b.Get(ctx, "k")
	expect(t, err, pluginapi.ErrKeyNotFound)
	_, err = b.GetLinearizable(ctx, "k")
	expect(t, err, pluginapi.ErrKeyNotFound)
	r3 := must(b.Create(ctx, "k", []byte("3"))) // over a delete marker
	if r4 := must(b.Put(ctx, "k", nil)); r4 <= r3 {
		t.Errorf("revision %d after %d", r4, r3)
	}
	if e := must(b.Get(ctx, "k")); len(e.Value) != 0 || e.Op != OpPut {
		t.Errorf("an empty value is %+v", e)
	}
}

func TestBucketKeysAndHistory(t *testing.T) {
	b, ctx := bucket(t), within(t, patience)
	for _, k := range []string{"user.1", "user.2", "users", "a/b=c", "user.gone", "u"} {
		must(b.Put(ctx, k, []byte(k)))
	}
	if err := b.Delete(ctx, "user.gone"); err != nil {
		t.Fatal(err)
	}
	must(b.GetLinearizable(ctx, "u")) // leaves a message that is no key
	for prefix, want := range map[string][]string{
		"": {"a/b=c", "u", "user.1", "user.2", "users"}, "user": {"user.1", "user.2", "users"}, "user.": {"user.1", "user.2"},
		"user.1": {"user.1"}, "x": {}, "a/": {"a/b=c"},
	} {
		if got := must(b.Keys(ctx, prefix)); !slices.Equal(got, want) {
			t.Errorf("keys of %q are %q, want %q", prefix, got, want)
		}
	}
	for i := range 7 {
		must(b.Put(ctx, "h", fmt.Append(nil, i)))
	}
	if err := b.Delete(ctx, "h"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range must(b.History(ctx, "h")) {
		got = append(got, string(e.Op)+string(e.Value))
	}
	if want := []string{"put3", "put4", "put5", "put6", "delete"}; !slices.Equal(got, want) {
		t.Errorf("history %q, want %q", got, want)
	}
	_, err := b.History(ctx, "never")
	expect(t, err, pluginapi.ErrKeyNotFound)
}

// TestBucketIsANATSBucket uses it as any NATS client would.
func TestBucketIsANATSBucket(t *testing.T) {
	b, ctx := bucket(t), within(t, patience)
	c := b.r.s.c
	kv, err := c.JetStream().KeyValue(ctx, appNames(t, "a").Bucket())
	if err != nil {
		t.Fatal(err)
	}
	r := must(b.Put(ctx, "ours", []byte("1")))
	must(b.GetLinearizable(ctx, "ours"))
	if e, err := kv.Get(ctx, "ours"); err != nil || string(e.Value()) != "1" || e.Revision() != r {
		t.Errorf("NATS reads %v %v", e, err)
	}
	must(kv.Put(ctx, "theirs", []byte("2")))
	if e := must(b.Get(ctx, "theirs")); string(e.Value) != "2" {
		t.Errorf("we read %+v", e)
	}
	if err := b.Delete(ctx, "ours"); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Get(ctx, "ours"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("NATS reads a deleted key: %v", err)
	}
	if err := kv.Delete(ctx, "theirs"); err != nil {
		t.Fatal(err)
	}
	_, err = b.Get(ctx, "theirs")
	expect(t, err, pluginapi.ErrKeyNotFound)
	must(b.Put(ctx, "shown", nil))
	if keys, err := kv.Keys(ctx); err != nil || !slices.Equal(keys, []string{"shown"}) {
		t.Errorf("NATS lists %q %v", keys, err)
	}
	if kv.Purge(ctx, "shown") == nil {
		t.Error("a purge was taken: one message can wipe a key's history")
	}
}

func TestBucketApply(t *testing.T) {
	b, ctx := bucket(t), within(t, patience)
	applyAll(t, ctx, b)
	_, err := b.Apply(ctx, make([]Change, MaxBatch+1))
	expect(t, err, pluginapi.ErrTooLarge, "999")
	big := make([]byte, 1<<20-kvOverhead)
	var large []Change
	for i := range 9 {
		large = append(large, Change{Key: fmt.Sprint("big.", i), Value: big})
	}
	_, err = b.Apply(ctx, large)
	expect(t, err, pluginapi.ErrTooLarge, fmt.Sprint(MaxBatchBytes))
	must(b.Apply(ctx, large[:8]))
	_, err = b.Apply(ctx, []Change{{Key: "a", Op: "swap"}, {Key: "b"}, {Key: "b"}, {Key: "c d"}, {Key: "e", Op: OpDelete, Value: []byte("v")}})
	expect(t, err, pluginapi.ErrInvalid, "change 1", "change 3", "change 4", "change 5")
	b.atomic = false
	_, err = b.Apply(ctx, []Change{{Key: "a"}})
	expect(t, err, ErrRefused, "2.12")
}

// applyAll tries a batch that holds, one that does not, and the largest one.
func applyAll(t *testing.T, ctx context.Context, b *Bucket) {
	t.Helper()
	at := must(b.Put(ctx, "b1", []byte("old")))
	must(b.Put(ctx, "b3", []byte("old")))
	revs := must(b.Apply(ctx, []Change{
		{Key: "b1", Value: []byte("new"), Revision: at}, {Key: "b2", Value: []byte("new")}, {Key: "b3", Op: OpDelete},
	}))
	for i, key := range []string{"b1", "b2"} {
		if e := must(b.Get(ctx, key)); string(e.Value) != "new" || e.Revision != revs[i] {
			t.Errorf("%s is %+v, want revision %d", key, e, revs[i])
		}
	}
	_, err := b.Get(ctx, "b3")
	expect(t, err, pluginapi.ErrKeyNotFound)
	_, err = b.Apply(ctx, []Change{{Key: "b2", Value: []byte("never")}, {Key: "b1", Value: []byte("never"), Revision: at}, {Key: "b4"}})
	expect(t, err, ErrConflict)
	if e := must(b.Get(ctx, "b2")); string(e.Value) != "new" {
		t.Errorf("a part of a refused batch was stored: %+v", e)
	}
	var all []Change
	for i := range MaxBatch {
		all = append(all, Change{Key: fmt.Sprint("all.", i)})
	}
	if revs := must(b.Apply(ctx, all)); len(revs) != MaxBatch || revs[0] != revs[MaxBatch-1]-MaxBatch+1 {
		t.Errorf("revisions of %d changes: %v", MaxBatch, revs)
	}
	if keys := must(b.Keys(ctx, "all.")); len(keys) != MaxBatch {
		t.Errorf("%d keys of %d", len(keys), MaxBatch)
	}
}

// TestBucketBadInput: a clear error each, and nothing is sent.
func TestBucketBadInput(t *testing.T) {
	b, ctx := bucket(t), within(t, patience)
	before := b.r.s.c.NATS().Stats().OutMsgs
	huge := make([]byte, 100<<20)
	f := b.EpochWriter(1, func() bool { return true }, nil)
	for _, key := range []string{"", ".", ".a", "a.", "a..b", "a b", "a*", "*", ">", "a.>", "ключ", "a\n", "a\x00", "$KV.x", strings.Repeat("k", 10<<10)} {
		for name, err := range map[string]error{
			"get": second(b.Get(ctx, key)), "linearizable": second(b.GetLinearizable(ctx, key)), "put": second(b.Put(ctx, key, nil)),
			"create": second(b.Create(ctx, key, nil)), "update": second(b.Update(ctx, key, nil, 1)), "delete": b.Delete(ctx, key),
			"delete revision": b.DeleteRevision(ctx, key, 1), "history": second(b.History(ctx, key)),
			"apply": second(b.Apply(ctx, []Change{{Key: key}})), "fenced": second(f.Put(ctx, key, nil)),
		} {
			if !errors.Is(err, pluginapi.ErrInvalid) || len(err.Error()) > 600 {
				t.Errorf("%s of key %.20q: %v", name, key, err)
			}
		}
	}
	for _, pattern := range []string{"", "a.>.b", "a*", ">.a", "a b"} {
		expect(t, b.Watch(ctx, pattern, func(Entry) {}), pluginapi.ErrInvalid, "pattern")
		_, err := b.Entries(ctx, pattern)
		expect(t, err, pluginapi.ErrInvalid, "pattern")
	}
	for _, prefix := range []string{"*", ".", "a..", ">", "a b"} {
		_, err := b.Keys(ctx, prefix)
		expect(t, err, pluginapi.ErrInvalid, "prefix")
	}
	limit := fmt.Sprint(MaxKVValue)
	expect(t, second(b.Put(ctx, "k", huge)), pluginapi.ErrTooLarge, limit)
	expect(t, second(b.Create(ctx, "k", huge)), pluginapi.ErrTooLarge, limit)
	expect(t, second(b.Update(ctx, "k", huge, 1)), pluginapi.ErrTooLarge, limit)
	expect(t, second(f.Put(ctx, "k", huge)), pluginapi.ErrTooLarge, limit)
	expect(t, second(b.Apply(ctx, []Change{{Key: "k", Value: huge}})), pluginapi.ErrTooLarge, limit)
	expect(t, second(b.Update(ctx, "k", nil, 0)), pluginapi.ErrInvalid, "Create")
	expect(t, b.DeleteRevision(ctx, "k", 0), pluginapi.ErrInvalid)
	over, cancel := context.WithCancel(ctx)
	cancel()
	for _, err := range []error{second(b.Get(over, "k")), second(b.GetLinearizable(over, "k")), second(b.Put(over, "k", nil)),
		second(b.Create(over, "k", nil)), second(b.Keys(over, "")), second(b.Apply(over, []Change{{Key: "k"}})), second(f.Put(over, "k", nil))} {
		expect(t, err, context.Canceled)
		if errors.Is(err, ErrUnknown) {
			t.Errorf("a call that was not made has an unknown outcome: %v", err)
		}
	}
	if n := b.r.s.c.NATS().Stats().OutMsgs - before; n != 0 {
		t.Errorf("%d messages were sent", n)
	}
}

func second[T any](_ T, err error) error { return err }

// TestBucketLargestValue: the limit that is named is the one that works, also
// where the server takes less than usual.
func TestBucketLargestValue(t *testing.T) {
	key := strings.Repeat("k", MaxKVKey)
	for _, payload := range []int32{1 << 20, 64 << 10} {
		s := startServer(t, func(o *server.Options) { o.MaxPayload = payload })
		b, ctx := openBucket(t, dialServer(t, s)), within(t, patience)
		most := b.largest()
		if most > int(payload) || most < int(payload)/2 {
			t.Errorf("limit %d with messages of %d", most, payload)
		}
		value := bytes.Repeat([]byte("v"), most)
		w := follow(t, b, ">")
		at := must(b.Create(ctx, key, value))
		must(b.Update(ctx, key, value, at))
		must(b.EpochWriter(1, func() bool { return true }, nil).Put(ctx, key, value))
		if e := must(b.Get(ctx, key)); !bytes.Equal(e.Value, value) {
			t.Errorf("read %d bytes of %d", len(e.Value), most)
		}
		eventually(t, "the largest value at a watch", func() bool { return len(w.value(key)) == most })
		_, err := b.Put(ctx, key, append(value, 0))
		expect(t, err, pluginapi.ErrTooLarge, fmt.Sprint(most))
	}
}

// TestBucketSettings: an existing stream with settings that are not safe is
// refused, and nothing of it is changed.
func TestBucketSettings(t *testing.T) {
	c := dialServer(t, startServer(t))
	js := c.JetStream()
	ctx := within(t, patience)
	for name, change := range map[string]func(*jetstream.StreamConfig){
		"max_msgs_per_subject": func(s *jetstream.StreamConfig) { s.MaxMsgsPerSubject = 1 },
		"allow_direct":         func(s *jetstream.StreamConfig) { s.AllowDirect = true },
		"allow_rollup_hdrs":    func(s *jetstream.StreamConfig) { s.AllowRollup, s.DenyPurge = true, false },
		"max_msg_size":         func(s *jetstream.StreamConfig) { s.MaxMsgSize = 1000 },
		"republish":            func(s *jetstream.StreamConfig) { s.RePublish = nil },
		"max_age":              func(s *jetstream.StreamConfig) { s.MaxAge = time.Hour },
		"subjects":             func(s *jetstream.StreamConfig) { s.Subjects = s.Subjects[:1] },
		"storage":              func(s *jetstream.StreamConfig) { s.Storage = jetstream.MemoryStorage },
	} {
		n := appNames(t, name) // an app for each: a deleted stream's files go later
		bad := bucketStream(n)
		change(&bad)
		if _, err := js.CreateStream(ctx, bad); err != nil {
			t.Fatal(name, err)
		}
		_, err := OpenBucket(ctx, c, n, 0)
		expect(t, err, pluginapi.ErrInvalid, name, "a bucket")
	}
	b := openBucket(t, c)
	if got := openBucket(t, c); !reflect.DeepEqual(got.r.created, b.r.created) {
		t.Error("a second open made another stream")
	}
}

// TestBucketUnknownOutcome: what was sent and not answered is not sent again.
func TestBucketUnknownOutcome(t *testing.T) {
	s := startServer(t)
	b := openBucket(t, dialServer(t, s))
	other := dialServer(t, s)
	at := must(b.Put(within(t, patience), "k", nil))
	stream := must(other.JetStream().Stream(within(t, patience), b.r.cfg.Stream))
	cfg := stream.CachedInfo().Config
	cfg.NoAck = true // the change is made, its answer never comes
	must(other.JetStream().UpdateStream(within(t, patience), cfg))
	for name, change := range map[string]func(context.Context) error{
		"put":    func(ctx context.Context) error { return second(b.Put(ctx, "k", []byte("1"))) },
		"update": func(ctx context.Context) error { return second(b.Update(ctx, "k", []byte("2"), at)) },
		"delete": func(ctx context.Context) error { return b.Delete(ctx, "k") },
		"apply":  func(ctx context.Context) error { return second(b.Apply(ctx, []Change{{Key: "k"}})) },
	} {
		sent := b.r.s.c.NATS().Stats().OutMsgs
		err := change(within(t, 300*time.Millisecond))
		expect(t, err, ErrUnknown, pluginapi.ErrTimeout)
		if n := b.r.s.c.NATS().Stats().OutMsgs - sent; n != 1 {
			t.Errorf("%s was sent %d times", name, n)
		}
	}
}

// TestBucketWithoutConnection: calls wait for it to come back, within their
// context; what was not sent is no unknown outcome.
func TestBucketWithoutConnection(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.ClientURL())
	c := dial(t, Config{URLs: []string{p.url()}})
	b := openBucket(t, c)
	p.cut()
	eventually(t, "the loss of the connection", func() bool { return !c.Connected() })
	err := second(b.Put(within(t, 100*time.Millisecond), "k", nil))
	expect(t, err, pluginapi.ErrTimeout)
	if errors.Is(err, ErrUnknown) {
		t.Errorf("a put that was not sent: %v", err)
	}
	done := make(chan error, 2)
	go func() { done <- second(b.Put(within(t, patience), "k", []byte("late"))) }()
	go func() { done <- second(b.Keys(within(t, patience), "")) }()
	p.heal()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	closeConn(t, c)
	expect(t, second(b.Get(within(t, patience), "k")), ErrClosed)
	expect(t, second(b.Put(within(t, patience), "k", nil)), ErrClosed)
	expect(t, second(b.Entries(within(t, patience), "k")), ErrClosed)
	expect(t, b.Watch(within(t, patience), "k", func(Entry) {}), ErrClosed)
}

func FuzzBucketKey(f *testing.F) {
	for _, s := range []string{"a", "a.b", "a/b=c", "", ".", "a..b", "a*", ">", "\xff", strings.Repeat("a", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if checkBucketKey(key) != nil {
			return
		}
		if checkBucketPattern(key) != nil || checkPrefix(key[:len(key)-1]) != nil {
			t.Errorf("%q is a key, but no pattern or its beginning no prefix", key)
		}
		if strings.ContainsAny(key, " *>\r\n\t") || len(key) > MaxKVKey || strings.Contains("."+key+".", "..") {
			t.Errorf("%q was taken for a key", key)
		}
	})
}

// TestLinearizableReadFromAStaleServer: a server that was cut off answers reads
// with what it had. A plain read believes it, a linearizable one does not.
func TestLinearizableReadFromAStaleServer(t *testing.T) {
	s := startServer(t)
	b, ctx := openBucket(t, dialServer(t, s)), within(t, patience)
	old := must(b.Put(ctx, "k", []byte("old")))
	must(b.Put(ctx, "k", []byte("new")))
	var asked atomic.Int64
	stale := must(json.Marshal(map[string]any{"message": stored{Subject: b.subject("k"), Seq: old, Data: []byte("old")}}))
	cancel, err := dialServer(t, s).Subscribe("$JS.API.STREAM.MSG.GET."+b.r.cfg.Stream, "", func(m Message) {
		if asked.Add(1)%3 != 0 { // the true server may answer first too
			_ = m.Respond(stale)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	eventually(t, "a plain read that is old", func() bool { return string(must(b.Get(ctx, "k")).Value) == "old" })
	for range 200 {
		if e := must(b.GetLinearizable(ctx, "k")); string(e.Value) != "new" {
			t.Fatalf("read %+v", e)
		}
	}
}
