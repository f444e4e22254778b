package bus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Bounds of one append to a feed.
const (
	MaxFeedMessages = 1000
	MaxFeedMessage  = 900 << 10 // bytes; below what a server takes by default
)

// headExpectLast makes a message hold only if the stream's last one is that.
const headExpectLast = "Nats-Expected-Last-Sequence"

// feedTry is how long the first try of a request about a feed may take; each
// further one may take twice as long, up to 2 s.
const feedTry = 60 * time.Millisecond

// FeedConfig describes a feed.
type FeedConfig struct {
	Stream    string // name of the stream
	Subject   string // the feed holds Subject.epoch and Subject.change
	Republish string // each stored message is published again on Republish.epoch and Republish.change
	Replicas  int    // 0 means min(3, servers)
}

func (g FeedConfig) epoch() string  { return g.Subject + ".epoch" }
func (g FeedConfig) change() string { return g.Subject + ".change" }

// Feed is a stream that one writer appends to: the holder of the highest epoch.
// An append names the last message that its writer knows, whatever that is, and
// holds only if there is no other: whoever raises the epoch appends a message,
// and with it every older writer is refused by the stream itself. Its methods
// may be called at the same time, but appends of one writer only one by one.
type Feed struct {
	s   stream
	cfg FeedConfig
}

// FeedHead is the end of a feed.
type FeedHead struct {
	Epoch    pluginapi.Epoch // 0: none was raised
	EpochSeq uint64          // of the message that raised it
	Last     []byte          // the last message of the last change; nil: there is none
	LastSeq  uint64
}

// OpenFeed creates the stream or checks the existing one; see [OpenLog].
func OpenFeed(ctx context.Context, c *Conn, cfg FeedConfig) (*Feed, error) {
	s := stream{c, cfg.Stream}
	if _, err := s.ensure(ctx, wanted{cfg.config(), cfg.Replicas, cfg.verify}); err != nil {
		return nil, fmt.Errorf("open feed %s: %w", cfg.Stream, err)
	}
	return &Feed{s, cfg}, nil
}

func (g FeedConfig) config() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               g.Stream,
		Description:        "changes of a database, by go-cluster",
		Subjects:           []string{g.epoch(), g.change()},
		Retention:          jetstream.LimitsPolicy,
		Storage:            jetstream.FileStorage,
		Discard:            jetstream.DiscardNew,
		MaxConsumers:       -1,
		MaxMsgs:            -1,
		MaxBytes:           -1,
		MaxMsgSize:         -1,
		DenyDelete:         true,
		AllowAtomicPublish: true,
		RePublish:          &jetstream.RePublish{Source: g.Subject + ".>", Destination: g.Republish + ".>"},
	}
}

// verify names every setting of an existing stream that would break the fence or
// lose a change silently.
func (g FeedConfig) verify(raw json.RawMessage) error {
	var have jetstream.StreamConfig
	if err := json.Unmarshal(raw, &have); err != nil {
		return asUnknown(fmt.Errorf("config of stream %s cannot be read: %w", g.Stream, err))
	}
	rp := cmp.Or(have.RePublish, &jetstream.RePublish{})
	return wrongSettings(g.Stream, []setting{
		{*rp == *g.config().RePublish, "republish", "from " + g.Subject + ".> to " + g.Republish + ".>"},
		{sameSubjects(have.Subjects, g.config().Subjects), "subjects", g.epoch() + ", " + g.change()},
		{have.Retention == jetstream.LimitsPolicy, "retention", "limits"},
		{have.Storage == jetstream.FileStorage, "storage", "file"},
		{have.Discard == jetstream.DiscardNew, "discard", "new (old changes are dropped only when a snapshot holds them)"},
		{have.MaxMsgsPerSubject <= 0 && have.MaxAge == 0, "max_msgs_per_subject and max_age", "unlimited"},
		{have.AllowAtomicPublish, "allow_atomic", "on"},
		{!have.AllowMsgTTL, "allow_msg_ttl", "off"},
		{!have.NoAck && !have.Sealed, "no_ack and sealed", "off"},
		{have.PersistMode != jetstream.AsyncPersistMode, "persist_mode", "default"},
		{have.Mirror == nil && len(have.Sources) == 0 && have.SubjectTransform == nil, "mirror, sources and subject_transform", "empty"},
	})
}

// Head reads the end of the feed from the server that leads the stream. That may
// be old when the server has been cut off.
func (f *Feed) Head(ctx context.Context) (h FeedHead, err error) {
	// The change first: an epoch that is raised meanwhile is then not missed.
	last, err := f.s.last(ctx, f.cfg.change())
	var raised stored
	if err == nil {
		raised, err = f.s.last(ctx, f.cfg.epoch())
	}
	if err == nil {
		h.Epoch, err = highestEpoch(raised)
	}
	if err != nil {
		return FeedHead{}, fmt.Errorf("read end of feed %s: %w", f.cfg.Stream, err)
	}
	h.EpochSeq, h.Last, h.LastSeq = raised.Seq, last.Data, last.Seq
	return h, nil
}

// Raise makes epoch the highest and returns the feed's end: nothing of an older
// epoch is appended behind it. It tries again until ctx ends.
//
// # Errors
//
// [pluginapi.ErrFenced] when a newer epoch is there.
func (f *Feed) Raise(ctx context.Context, epoch pluginapi.Epoch) (h FeedHead, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	value, err := json.Marshal(epochRecord{epoch})
	try := feedTry
	if err == nil {
		again := func(err error) bool { return unread(err) || errors.Is(err, ErrConflict) }
		err = insist(ctx, again, func(ctx context.Context) error {
			// A request to a server that has just died is never answered: the first tries
			// are short.
			ctx, cancel := context.WithTimeout(ctx, try)
			defer cancel()
			try = min(2*try, kvReadTry)
			if h, err = f.Head(ctx); err != nil {
				return err
			}
			switch {
			case h.Epoch > epoch:
				return fmt.Errorf("%w: epoch %d has been here, this is %d", pluginapi.ErrFenced, h.Epoch, epoch)
			case h.Epoch == epoch:
				return nil
			}
			m := &nats.Msg{Subject: f.cfg.epoch(), Data: value, Header: f.after(max(h.EpochSeq, h.LastSeq))}
			h.EpochSeq, err = f.s.put(ctx, m)
			h.Epoch = epoch
			return err
		})
	}
	if err != nil {
		return FeedHead{}, fmt.Errorf("raise epoch of feed %s to %d: %w", f.cfg.Stream, epoch, err)
	}
	return h, nil
}

// after is the condition that the stream ends with the message at seq.
func (f *Feed) after(seq uint64) nats.Header {
	return nats.Header{headExpectLast: {strconv.FormatUint(seq, 10)}, "Nats-Expected-Stream": {f.cfg.Stream}}
}

// Append appends the messages of one change, all or none, if the feed ends with
// the message at after, which is the writer's last one or that of its epoch. It
// returns the sequence of the last one. It tries once.
//
// # Errors
//
// Exactly one of: ErrConflict, a condition did not hold, as far as the one who
// answered knows; ErrRefused, nothing was appended; ErrUnknown, it may have
// been and may still be. [pluginapi.ErrTooLarge] comes with ErrRefused.
func (f *Feed) Append(ctx context.Context, after uint64, messages [][]byte) (seq uint64, err error) {
	msgs, err := f.messages(after, messages)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, batchTry)
		defer cancel()
		if len(msgs) == 1 {
			seq, err = f.s.put(ctx, msgs[0])
		} else {
			seq, err = f.s.putAll(ctx, msgs)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("append to feed %s: %w", f.cfg.Stream, err)
	}
	return seq, nil
}

func (f *Feed) messages(after uint64, messages [][]byte) (msgs []*nats.Msg, err error) {
	if len(messages) == 0 || len(messages) > MaxFeedMessages {
		return nil, asRefused(fmt.Errorf("%w: %d messages, the most is %d", pluginapi.ErrTooLarge, len(messages), MaxFeedMessages))
	}
	for _, data := range messages {
		if len(data) > MaxFeedMessage {
			return nil, asRefused(fmt.Errorf("%w: a message of %d bytes, the most is %d", pluginapi.ErrTooLarge, len(data), MaxFeedMessage))
		}
		msgs = append(msgs, &nats.Msg{Subject: f.cfg.change(), Data: data})
	}
	msgs[0].Header = f.after(after)
	return msgs, nil
}

// FeedMessage is a message of a feed: a part of a change, or the raise of an
// epoch.
type FeedMessage struct {
	Seq   uint64
	Epoch pluginapi.Epoch // raised by this message; 0: it is a part of a change
	Data  []byte
}

// Bounds returns the sequence of the first and of the last message, and how many
// bytes there are.
func (f *Feed) Bounds(ctx context.Context) (first, last, bytes uint64, err error) {
	in, err := f.s.info(ctx)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("read bounds of feed %s: %w", f.cfg.Stream, err)
	}
	return in.State.FirstSeq, in.State.LastSeq, in.State.Bytes, nil
}

// Trim drops the changes before seq. The raises of epochs stay.
func (f *Feed) Trim(ctx context.Context, seq uint64) error {
	if err := f.s.c.api(ctx, "STREAM.PURGE."+f.cfg.Stream, map[string]any{"filter": f.cfg.change(), "seq": seq}, nil); err != nil {
		return fmt.Errorf("trim feed %s: %w", f.cfg.Stream, err)
	}
	return nil
}

// Oldest returns the first change that is left, and when it was stored; nil when
// there is none.
func (f *Feed) Oldest(ctx context.Context) (data []byte, at time.Time, err error) {
	m, err := f.s.next(ctx, f.cfg.change(), 1)
	if err != nil {
		return nil, at, fmt.Errorf("read oldest change of feed %s: %w", f.cfg.Stream, err)
	}
	return m.Data, m.Time, nil
}

// KeepOff moves the leader of the feed's stream off a server, to another one that
// is current; it says whether it had to. When the server dies the feed goes on
// at once, then.
func (f *Feed) KeepOff(ctx context.Context, server string) (moved bool, err error) {
	l, err := f.s.leadership(ctx)
	if err != nil || l.Leader != server {
		return false, err
	}
	for _, r := range l.Replicas {
		if r.Current {
			return true, f.s.moveLeader(ctx, r.Name)
		}
	}
	return false, nil
}
