package bus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

func openBlobs(t testing.TB, c *Conn) *Blobs {
	t.Helper()
	b, err := OpenBlobs(within(t, patience), c, names(t, "p").Blobs(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func randomBytes(n int) []byte {
	out := make([]byte, n)
	src := rand.NewChaCha8([32]byte{1})
	_, _ = src.Read(out)
	return out
}

func putBlob(t testing.TB, b *Blobs, name string, content []byte) {
	t.Helper()
	digest, size, err := b.Put(within(t, patience), name, bytes.NewReader(content))
	sum := sha256.Sum256(content)
	if err != nil || size != int64(len(content)) || digest != hex.EncodeToString(sum[:]) {
		t.Fatalf("put %s: %s, %d bytes, %v", name, digest, size, err)
	}
}

func readBlob(b *Blobs, ctx context.Context, name string) ([]byte, error) {
	r, err := b.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestBlobs(t *testing.T) {
	c := dialServer(t, startServer(t))
	b := openBlobs(t, c)
	if all, err := b.List(within(t, patience)); err != nil || len(all) != 0 {
		t.Fatalf("%v %v", all, err)
	}
	contents := map[string][]byte{
		"empty": nil, "one": {1}, "chunk": randomBytes(blobChunk), "more": randomBytes(blobChunk + 1), "big.v1": randomBytes(20 << 20),
	}
	for name, content := range contents {
		start := time.Now()
		putBlob(t, b, name, content)
		put := time.Since(start)
		start = time.Now()
		got, err := readBlob(b, within(t, patience), name)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes come back, %v", name, len(got), err)
		}
		t.Logf("%s: put %v, get %v", name, put, time.Since(start))
	}
	all, err := b.List(within(t, patience))
	if err != nil || len(all) != len(contents) || all[0].Name != "big.v1" || all[0].Size != 20<<20 || len(all[0].Digest) != 64 || all[0].Modified.IsZero() {
		t.Errorf("%v %v", all, err)
	}
	before := streamBytes(t, c, b)
	putBlob(t, b, "big.v1", []byte("new"))
	if got, err := readBlob(b, within(t, patience), "big.v1"); err != nil || string(got) != "new" {
		t.Errorf("%q %v", got, err)
	}
	if freed := before - streamBytes(t, c, b); freed < 20<<20 {
		t.Errorf("only %d bytes of the replaced content are freed", freed)
	}
	if err := b.Delete(within(t, patience), "big.v1"); err != nil {
		t.Fatal(err)
	}
	_, err = b.Get(within(t, patience), "big.v1")
	expect(t, err, ErrBlobNotFound, "big.v1")
	expect(t, b.Delete(within(t, patience), "big.v1"), ErrBlobNotFound)
	_, err = b.Get(within(t, patience), "never")
	expect(t, err, ErrBlobNotFound)
	putBlob(t, b, "big.v1", []byte("back"))
	for _, name := range []string{"", "a b", "../x", "a..b", ">", "*", strings.Repeat("n", 300)} {
		_, _, err := b.Put(within(t, patience), name, strings.NewReader("x"))
		expect(t, err, pluginapi.ErrInvalid)
	}
	_, err = OpenBlobs(within(t, patience), c, "a.b", 0)
	expect(t, err, pluginapi.ErrInvalid)
}

func streamBytes(t *testing.T, c *Conn, b *Blobs) int {
	t.Helper()
	s, err := c.JetStream().Stream(within(t, patience), b.s.name)
	if err != nil {
		t.Fatal(err)
	}
	return int(s.CachedInfo().State.Bytes)
}

// The layout is that of NATS's own object store, in both directions.
func TestBlobsAreAnObjectStore(t *testing.T) {
	c := dialServer(t, startServer(t))
	b := openBlobs(t, c)
	content := randomBytes(3 << 20)
	putBlob(t, b, "ours", content)
	theirs, err := c.JetStream().ObjectStore(within(t, patience), names(t, "p").Blobs())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := theirs.GetBytes(within(t, patience), "ours"); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := theirs.PutBytes(within(t, patience), "theirs", content); err != nil {
		t.Fatal(err)
	}
	if got, err := readBlob(b, within(t, patience), "theirs"); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestFailedPutLeavesTheOldContent(t *testing.T) {
	c := dialServer(t, startServer(t))
	b := openBlobs(t, c)
	putBlob(t, b, "x", []byte("old"))
	before := streamBytes(t, c, b)
	broken := errors.New("disk broken")
	_, _, err := b.Put(within(t, patience), "x", io.MultiReader(bytes.NewReader(randomBytes(2<<20)), badReader{broken}))
	expect(t, err, broken)
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err = b.Put(ctx, "x", io.MultiReader(bytes.NewReader(randomBytes(2<<20)), doReader{cancel}, bytes.NewReader(randomBytes(2<<20))))
	expect(t, err, context.Canceled)
	if got, err := readBlob(b, within(t, patience), "x"); err != nil || string(got) != "old" {
		t.Errorf("%q %v", got, err)
	}
	if after := streamBytes(t, c, b); after > before {
		t.Errorf("%d bytes are left behind", after-before)
	}
}

type badReader struct{ err error }

func (r badReader) Read([]byte) (int, error) { return 0, r.err }

type doReader struct{ do func() }

func (r doReader) Read([]byte) (int, error) { r.do(); return 0, io.EOF }

func TestBlobsThroughALinkThatBreaks(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.ClientURL())
	b := openBlobs(t, dial(t, Config{URLs: []string{p.url()}}))
	content := randomBytes(4 << 20)
	flicker := func() { p.cut(); p.heal() }
	parts := func() io.Reader {
		return io.MultiReader(bytes.NewReader(content[:1<<20]), doReader{flicker}, bytes.NewReader(content[1<<20:3<<20]), doReader{flicker}, bytes.NewReader(content[3<<20:]))
	}
	if _, _, err := b.Put(within(t, patience), "x", parts()); err != nil {
		t.Fatal(err)
	}
	r, err := b.Get(within(t, patience), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got bytes.Buffer
	for range 4 {
		flicker()
		if _, err := io.CopyN(&got, r, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.Copy(&got, r); err != nil || !bytes.Equal(got.Bytes(), content) {
		t.Errorf("%d bytes come back, %v", got.Len(), err)
	}
}

func TestPutAgainDoesNotStoreAChunkTwice(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.ClientURL())
	b := openBlobs(t, dial(t, Config{URLs: []string{p.url()}}))
	direct := dialServer(t, s)
	content := randomBytes(2 << 20)
	cut := make(chan struct{})
	deafen := func() { // the next chunk is stored, its answer never comes
		before := streamBytes(t, direct, b)
		p.setDeaf(true)
		go func() {
			defer close(cut)
			eventually(t, "the unanswered chunk", func() bool { return streamBytes(t, direct, b) > before })
			p.cut()
			p.setDeaf(false)
			p.heal()
		}()
	}
	parts := io.MultiReader(bytes.NewReader(content[:1<<20]), doReader{deafen}, bytes.NewReader(content[1<<20:]))
	if _, _, err := b.Put(within(t, patience), "x", parts); err != nil {
		t.Fatal(err)
	}
	<-cut
	if got, err := readBlob(b, within(t, patience), "x"); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes come back, %v", len(got), err)
	}
}

func TestSpoiledBlobIsNoticed(t *testing.T) {
	c := dialServer(t, startServer(t))
	b := openBlobs(t, c)
	content := randomBytes(2 << 20)
	putBlob(t, b, "x", content)
	info, err := b.find(within(t, patience), "x")
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.Get(within(t, patience), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := b.purge(within(t, patience), info.NUID); err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(r)
	expect(t, err, io.ErrUnexpectedEOF, "ends after")
	content[5]++
	for i := 0; i < len(content); i += blobChunk {
		if _, err := c.Request(within(t, patience), b.chunks(info.NUID), content[i:i+blobChunk]); err != nil {
			t.Fatal(err)
		}
	}
	_, err = readBlob(b, within(t, patience), "x")
	expect(t, err, "digest")
	if _, err := c.Request(within(t, patience), b.chunks(info.NUID), []byte("too much")); err != nil {
		t.Fatal(err)
	}
	info.Size++
	if err := b.writeMeta(within(t, patience), info); err != nil {
		t.Fatal(err)
	}
	_, err = readBlob(b, within(t, patience), "x")
	expect(t, err, "longer")
}

func TestOpenBlobsRefusesAnotherStream(t *testing.T) {
	c := dialServer(t, startServer(t))
	bucket := names(t, "p").Blobs()
	if _, err := c.JetStream().CreateObjectStore(within(t, patience), jetstream.ObjectStoreConfig{Bucket: bucket, TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	_, err := OpenBlobs(within(t, patience), c, bucket, 0)
	expect(t, err, pluginapi.ErrInvalid, "OBJ_"+bucket)
}
