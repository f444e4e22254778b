package bus

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

const (
	blobChunk   = 512 << 10 // bytes of one message
	blobTry     = 5 * time.Second
	blobCleanup = 5 * time.Second // bounds the removal of what a failed Put left behind
)

// Blobs keeps big things under names: plugins, snapshots. It is a JetStream
// object store, in the layout of NATS's own tools. What was put is there for
// everybody at once: descriptions are read from the stream's leader, chunks,
// which never change, from any copy. Its methods may be
// called at the same time.
type Blobs struct {
	s      stream
	bucket string
}

// BlobInfo describes a blob.
type BlobInfo struct {
	Name     string
	Size     int64  // bytes
	Digest   string // SHA-256 of the content, in hex
	Modified time.Time
}

// OpenBlobs creates the bucket or opens the existing one. replicas is the
// number of copies, 0 for as many as the servers allow, at most 3. Like
// OpenRecords it tries until ctx ends, and several may do it at once.
//
// # Errors
//
// As of OpenRecords.
func OpenBlobs(ctx context.Context, c *Conn, bucket string, replicas int) (*Blobs, error) {
	if err := checkTokens("bucket", bucket, false); err != nil || strings.Contains(bucket, ".") {
		return nil, fmt.Errorf("open blobs: %w: bucket name %q: it is made of A-Z a-z 0-9 - _", pluginapi.ErrInvalid, bucket)
	}
	if replicas < 0 || replicas > 5 {
		return nil, fmt.Errorf("open blobs: %w: %d replicas: give 1 to 5, or 0 for up to 3", pluginapi.ErrInvalid, replicas)
	}
	b := &Blobs{s: stream{c, "OBJ_" + bucket}, bucket: bucket}
	if _, err := b.s.ensure(ctx, wanted{b.config(), replicas, b.verify}); err != nil {
		return nil, fmt.Errorf("open blobs %s: %w", bucket, err)
	}
	if _, err := b.s.grow(ctx, replicas); err != nil {
		c.log.Warn("replicas of a stream could not be raised", "stream", b.s.name, "error", err)
	}
	return b, nil
}

// config is that of an object store.
func (b *Blobs) config() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: b.s.name, Subjects: []string{b.chunks(">"), b.meta(">")},
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxConsumers: -1, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1, MaxMsgsPerSubject: -1,
		AllowRollup: true, AllowDirect: true,
	}
}

func (b *Blobs) verify(raw json.RawMessage) error {
	var have jetstream.StreamConfig
	if err := json.Unmarshal(raw, &have); err != nil {
		return asUnknown(fmt.Errorf("config of stream %s cannot be read: %w", b.s.name, err))
	}
	if !slices.Equal(have.Subjects, b.config().Subjects) || !have.AllowRollup || have.Sealed || have.NoAck ||
		have.Retention != jetstream.LimitsPolicy || have.MaxAge != 0 || have.MaxMsgsPerSubject > 0 {
		return fmt.Errorf("%w: stream %s exists and is not an object store without expiry: mend or delete it", pluginapi.ErrInvalid, b.s.name)
	}
	return nil
}

func (b *Blobs) chunks(id string) string { return "$O." + b.bucket + ".C." + id }
func (b *Blobs) meta(name string) string { return "$O." + b.bucket + ".M." + name }

func (b *Blobs) metaOf(name string) string {
	return b.meta(base64.URLEncoding.EncodeToString([]byte(name)))
}

// Put stores what r holds under name, in place of what was there, and returns
// its SHA-256 in hex and its size. The name is made of A-Z a-z 0-9 - _ in parts
// joined by single dots. One chunk is on its way at a time, so that a Put of
// any size does not overrun the server. A server that is gone for a moment is
// tried again until ctx ends. When Put fails the old content stays.
//
// # Errors
//
// [pluginapi.ErrInvalid] for a bad name, the error of r, otherwise as of
// [Conn.Request].
func (b *Blobs) Put(ctx context.Context, name string, r io.Reader) (digest string, size int64, err error) {
	if err := checkTokens("blob name", name, false); err != nil {
		return "", 0, fmt.Errorf("put blob: %w", err)
	}
	fail := func(err error) (string, int64, error) { return "", 0, fmt.Errorf("put blob %s: %w", name, err) }
	old, err := b.find(ctx, name)
	if err != nil && !errors.Is(err, ErrBlobNotFound) {
		return fail(err)
	}
	info := jetstream.ObjectInfo{Bucket: b.bucket, NUID: nuid.Next()}
	info.Name, info.Opts = name, &jetstream.ObjectMetaOptions{ChunkSize: blobChunk}
	sum, err := b.upload(ctx, r, &info)
	if err != nil {
		b.purgeLate(ctx, info.NUID)
		return fail(err)
	}
	if err = b.writeMeta(ctx, info); err != nil {
		if !errors.Is(err, ErrUnknown) { // else the new content may stand
			b.purgeLate(ctx, info.NUID)
		}
		return fail(err)
	}
	if old.NUID != "" {
		b.purgeLate(ctx, old.NUID)
	}
	return hex.EncodeToString(sum), int64(info.Size), nil
}

// upload sends the chunks and fills in size, count and digest.
func (b *Blobs) upload(ctx context.Context, r io.Reader, info *jetstream.ObjectInfo) ([]byte, error) {
	hash, chunk := sha256.New(), make([]byte, blobChunk)
	for {
		n, err := io.ReadFull(r, chunk)
		if n > 0 {
			id := info.NUID + "-" + strconv.Itoa(int(info.Chunks))
			if err := b.write(ctx, &nats.Msg{Subject: b.chunks(info.NUID), Data: chunk[:n], Header: nats.Header{"Nats-Msg-Id": {id}}}); err != nil {
				return nil, err
			}
			hash.Write(chunk[:n])
			info.Chunks++
			info.Size += uint64(n)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			sum := hash.Sum(nil)
			info.Digest = "SHA-256=" + base64.URLEncoding.EncodeToString(sum)
			return sum, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read content: %w", err)
		}
	}
}

// write stores a message. It may be sent twice, so it must carry an id by which
// the server knows it again, or bear repetition.
func (b *Blobs) write(ctx context.Context, m *nats.Msg) error {
	for wait := openWait; ; wait = min(2*wait, openWaitMax) {
		try, cancel := context.WithTimeout(ctx, blobTry)
		answer, err := b.s.c.send(try, m)
		cancel()
		if err == nil {
			err = decode(answer.Data, nil)
		}
		if err == nil || hopeless(err) || errors.Is(err, nats.ErrMaxPayload) || permanent(err) {
			return err
		}
		if !pause(ctx, wait, wait) {
			return err
		}
	}
}

// permanent says that JetStream has answered with a mistake of ours (4xx), not
// with a state of its own. 429 is "too many requests".
func permanent(err error) bool {
	e, ok := errors.AsType[*apiError](err)
	return ok && e.Code >= 400 && e.Code < 500 && e.Code != 429
}

func (b *Blobs) writeMeta(ctx context.Context, info jetstream.ObjectInfo) error {
	data, err := json.Marshal(info)
	if err != nil {
		return fmt.Errorf("encode blob info: %w", err)
	}
	return b.write(ctx, &nats.Msg{Subject: b.metaOf(info.Name), Data: data, Header: nats.Header{"Nats-Rollup": {"sub"}}})
}

// purge removes the chunks of one content.
func (b *Blobs) purge(ctx context.Context, id string) error {
	return b.s.c.api(ctx, "STREAM.PURGE."+b.s.name, map[string]string{"filter": b.chunks(id)}, nil)
}

// purgeLate is purge, also when ctx has ended. What it cannot remove only takes
// up space.
func (b *Blobs) purgeLate(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), blobCleanup)
	defer cancel()
	if err := b.purge(ctx, id); err != nil {
		b.s.c.log.Warn("content of a blob that is not used any more was left behind", "stream", b.s.name, "id", id, "error", err)
	}
}

// find reads the description of a blob.
func (b *Blobs) find(ctx context.Context, name string) (jetstream.ObjectInfo, error) {
	m, err := b.s.last(ctx, b.metaOf(name))
	if err != nil {
		return jetstream.ObjectInfo{}, err
	}
	info, ok := b.info(m)
	if !ok || info.Name != name {
		return jetstream.ObjectInfo{}, ErrBlobNotFound
	}
	return info, nil
}

// info decodes a description. It is false for none, a deleted one, a link, and
// for what nobody should have written there.
func (b *Blobs) info(m stored) (jetstream.ObjectInfo, bool) {
	var info jetstream.ObjectInfo
	if m.Seq == 0 || json.Unmarshal(m.Data, &info) != nil {
		return jetstream.ObjectInfo{}, false
	}
	link := info.Opts != nil && info.Opts.Link != nil
	if info.Deleted || link || info.Size > 1<<62 || checkTokens("blob name", info.Name, false) != nil || checkTokens("id", info.NUID, false) != nil {
		return jetstream.ObjectInfo{}, false
	}
	info.ModTime = m.Time
	return info, true
}

// List returns all blobs, by name.
//
// # Errors
//
// As of [Records.List].
func (b *Blobs) List(ctx context.Context) ([]BlobInfo, error) {
	found, _, err := b.s.list(ctx, b.meta(">"))
	if err != nil {
		return nil, fmt.Errorf("list blobs of %s: %w", b.bucket, err)
	}
	out := make([]BlobInfo, 0, len(found))
	for _, m := range found {
		info, ok := b.info(m)
		if !ok {
			continue
		}
		sum, err := jetstream.DecodeObjectDigest(info.Digest)
		if err != nil {
			continue
		}
		out = append(out, BlobInfo{Name: info.Name, Size: int64(info.Size), Digest: hex.EncodeToString(sum), Modified: info.ModTime})
	}
	slices.SortFunc(out, func(a, b BlobInfo) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Delete removes a blob.
//
// # Errors
//
// ErrBlobNotFound when there is none, otherwise as of [Conn.Request].
func (b *Blobs) Delete(ctx context.Context, name string) error {
	info, err := b.find(ctx, name)
	if err == nil {
		id := info.NUID
		info.Deleted, info.Size, info.Chunks, info.Digest = true, 0, 0, ""
		if err = b.writeMeta(ctx, info); err == nil {
			err = b.purge(ctx, id)
		}
	}
	if err != nil {
		return fmt.Errorf("delete blob %s: %w", name, err)
	}
	return nil
}
