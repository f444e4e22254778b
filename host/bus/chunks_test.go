package bus

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// TestChunks: chunks are there for every reader at once, stored once, and swept
// only if they are old and nobody wants them.
func TestChunks(t *testing.T) {
	servers, join := startCluster(t, 2)
	servers = append(servers, join())
	ctx := within(t, 2*patience)
	app := must(names(t, "p").App("web"))
	var stores []*Chunks
	for _, s := range servers {
		stores = append(stores, must(OpenChunks(ctx, dialServer(t, s), app.Chunks())))
	}
	content := func(i int) ([sha256.Size]byte, []byte) {
		b := bytes.Repeat([]byte{byte(i)}, 60<<10)
		return sha256.Sum256(b), b
	}
	for i := range 30 {
		d, b := content(i % 10)
		if err := stores[i%3].Put(ctx, d, b); err != nil {
			t.Fatal(err)
		}
		if got, err := stores[(i+1)%3].Get(ctx, d); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("chunk %d: %d bytes, %v", i, len(got), err)
		}
	}
	if in := must(stores[0].s.info(ctx)); in.State.Messages != 10 {
		t.Errorf("%d chunks", in.State.Messages)
	}
	wanted, _ := content(3)
	keep := func(d [sha256.Size]byte) bool { return d == wanted }
	if n, err := stores[0].Sweep(ctx, keep, time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("%d young ones swept, %v", n, err)
	}
	if n, err := stores[0].Sweep(ctx, keep, time.Now().Add(time.Hour)); n != 9 || err != nil {
		t.Errorf("%d swept, %v", n, err)
	}
	if _, err := stores[1].Get(ctx, wanted); err != nil {
		t.Error(err)
	}
	gone, _ := content(4)
	// Any copy may be asked, also one that has not heard of the sweep yet.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	_, err := stores[1].Get(ctx, gone)
	for err == nil && ctx.Err() == nil {
		<-tick.C
		_, err = stores[1].Get(ctx, gone)
	}
	expect(t, err, pluginapi.ErrKeyNotFound)
	err = stores[1].Put(ctx, gone, make([]byte, MaxChunk+1))
	expect(t, err, pluginapi.ErrTooLarge, ErrRefused)
}
