package bus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// MaxChunk bounds a chunk in bytes.
const MaxChunk = 512 << 10

const chunkTry = 5 * time.Second

// ChunksConfig describes a store of chunks.
type ChunksConfig struct {
	Stream   string // name of the stream
	Subject  string // a chunk lives on Subject + "." + its digest in hex
	Replicas int    // 0 means min(3, servers)
}

// Chunks keeps pieces of data under the digest of what they are made from, each
// once. It does not compare data and digest: whoever reads does. Its methods may
// be called at the same time.
type Chunks struct {
	s   stream
	cfg ChunksConfig
}

// OpenChunks creates the stream or checks the existing one; see [OpenLog].
func OpenChunks(ctx context.Context, c *Conn, cfg ChunksConfig) (*Chunks, error) {
	s := stream{c, cfg.Stream}
	if _, err := s.ensure(ctx, wanted{cfg.config(), cfg.Replicas, cfg.verify}); err != nil {
		return nil, fmt.Errorf("open chunks %s: %w", cfg.Stream, err)
	}
	return &Chunks{s, cfg}, nil
}

func (g ChunksConfig) config() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              g.Stream,
		Description:       "pieces of snapshots, by go-cluster",
		Subjects:          []string{g.Subject + ".*"},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardNew,
		MaxConsumers:      -1,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgSize:        -1,
		MaxMsgsPerSubject: 1,
		AllowDirect:       true, // a chunk never changes, so any copy will do
	}
}

func (g ChunksConfig) verify(raw json.RawMessage) error {
	var have jetstream.StreamConfig
	if err := json.Unmarshal(raw, &have); err != nil {
		return asUnknown(fmt.Errorf("config of stream %s cannot be read: %w", g.Stream, err))
	}
	return wrongSettings(g.Stream, []setting{
		{sameSubjects(have.Subjects, g.config().Subjects), "subjects", g.Subject + ".*"},
		{have.Retention == jetstream.LimitsPolicy, "retention", "limits"},
		{have.Storage == jetstream.FileStorage, "storage", "file"},
		{have.Discard == jetstream.DiscardNew, "discard", "new (a snapshot would lose pieces silently)"},
		{have.MaxMsgsPerSubject == 1 && have.MaxAge == 0, "max_msgs_per_subject and max_age", "1 and unlimited"},
		{have.AllowDirect, "allow_direct", "on"},
		{!have.NoAck && !have.Sealed, "no_ack and sealed", "off"},
		{have.PersistMode != jetstream.AsyncPersistMode, "persist_mode", "default"},
	})
}

func (g ChunksConfig) subject(d [sha256.Size]byte) string {
	return g.Subject + "." + hex.EncodeToString(d[:])
}

// Put stores a chunk, and tries again until ctx ends: storing it twice is
// storing it once.
//
// # Errors
//
// [pluginapi.ErrTooLarge] above [MaxChunk]; what the servers say.
func (c *Chunks) Put(ctx context.Context, d [sha256.Size]byte, data []byte) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	err := c.put(ctx, d, data)
	if err != nil {
		return fmt.Errorf("put chunk to %s: %w", c.cfg.Stream, err)
	}
	return nil
}

func (c *Chunks) put(ctx context.Context, d [sha256.Size]byte, data []byte) error {
	if len(data) > MaxChunk {
		return asRefused(fmt.Errorf("%w: %d bytes, the most is %d", pluginapi.ErrTooLarge, len(data), MaxChunk))
	}
	return insist(ctx, func(err error) bool { return untaken(err) || errors.Is(err, ErrUnknown) }, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, chunkTry)
		defer cancel()
		_, err := c.s.put(ctx, &nats.Msg{Subject: c.cfg.subject(d), Data: data})
		return err
	})
}

// Get reads a chunk: from any copy of the stream, and from its leader when that
// copy does not have it yet.
//
// # Errors
//
// [pluginapi.ErrKeyNotFound].
func (c *Chunks) Get(ctx context.Context, d [sha256.Size]byte) (data []byte, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	err = insist(ctx, unread, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, chunkTry)
		defer cancel()
		m, err := c.s.nextDirect(ctx, c.cfg.subject(d), 1)
		if err == nil && m.Seq == 0 {
			m, err = c.s.last(ctx, c.cfg.subject(d))
		}
		if err == nil && m.Seq == 0 {
			err = pluginapi.ErrKeyNotFound
		}
		data = m.Data
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get chunk from %s: %w", c.cfg.Stream, err)
	}
	return data, nil
}

// Sweep removes the chunks that keep does not name and that were stored before
// a time, and says how many.
func (c *Chunks) Sweep(ctx context.Context, keep func([sha256.Size]byte) bool, before time.Time) (swept int, err error) {
	subjects, _, err := c.s.subjects(ctx, c.cfg.Subject+".*")
	for _, subject := range subjects {
		if err != nil {
			break
		}
		var d [sha256.Size]byte
		name := strings.TrimPrefix(subject, c.cfg.Subject+".")
		if n, bad := hex.Decode(d[:], []byte(name[:min(len(name), 2*len(d))])); bad == nil && n == len(d) && keep(d) {
			continue
		}
		var gone bool
		if gone, err = c.sweepOne(ctx, subject, before); gone {
			swept++
		}
	}
	if err != nil {
		return swept, fmt.Errorf("sweep chunks of %s: %w", c.cfg.Stream, err)
	}
	return swept, nil
}

// sweepOne removes a chunk unless it is too young.
func (c *Chunks) sweepOne(ctx context.Context, subject string, before time.Time) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, chunkTry)
	defer cancel()
	m, err := c.s.last(ctx, subject)
	if err != nil || m.Seq == 0 || !m.Time.Before(before) {
		return false, err
	}
	// Up to this message only: one that was stored again meanwhile stays.
	err = c.s.c.api(ctx, "STREAM.PURGE."+c.cfg.Stream, map[string]any{"filter": subject, "seq": m.Seq + 1}, nil)
	return err == nil, err
}

// Bytes is how much is stored, in bytes, on each server that has a copy.
func (c *Chunks) Bytes(ctx context.Context) (uint64, error) {
	in, err := c.s.info(ctx)
	if err != nil {
		return 0, fmt.Errorf("read size of %s: %w", c.cfg.Stream, err)
	}
	return in.State.Bytes, nil
}
