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
)

// LogConfig describes a log.
type LogConfig struct {
	Stream   string        // name of the stream
	Subject  string        // the log holds what is sent to Subject + ".>"
	MaxAge   time.Duration // older messages are dropped
	MaxBytes int64         // the oldest messages are dropped when there are more bytes
	Replicas int           // 0 means min(3, servers)
	Force    bool          // give an existing stream these limits; else it keeps its own
}

// Log is a stream to which messages are appended, and from which the oldest are
// dropped when they are too old or too many. Its methods may be called at the
// same time.
type Log struct {
	s   stream
	cfg LogConfig
}

// repeatWindow is how long the stream knows the ids of messages. An append is
// not tried again when this much could have passed.
const repeatWindow = 2 * time.Minute

// OpenLog creates the stream, or checks the existing one, and raises its
// replicas when there are more servers now. While JetStream is electing its
// leader it tries again until ctx ends.
//
// # Errors
//
// As of [OpenRecords].
func OpenLog(ctx context.Context, c *Conn, cfg LogConfig) (*Log, error) {
	s := stream{c, cfg.Stream}
	in, err := s.ensure(ctx, wanted{cfg.config(), cfg.Replicas, cfg.verify})
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", cfg.Stream, err)
	}
	l := &Log{s, cfg}
	if cfg.Force {
		if err := l.limit(ctx, in.Config); err != nil {
			return nil, fmt.Errorf("open log %s: %w", cfg.Stream, err)
		}
	}
	if _, err := s.grow(ctx, cfg.Replicas); err != nil {
		c.log.Debug("replicas of a stream could not be raised yet", "stream", cfg.Stream, "error", err)
	}
	return l, nil
}

func (g LogConfig) config() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:         g.Stream,
		Description:  "messages of go-cluster",
		Subjects:     []string{g.Subject + ".>"},
		Retention:    jetstream.LimitsPolicy,
		Storage:      jetstream.FileStorage,
		Discard:      jetstream.DiscardOld,
		MaxConsumers: -1,
		MaxMsgs:      -1,
		MaxMsgSize:   -1,
		MaxBytes:     g.MaxBytes,
		MaxAge:       g.MaxAge,
		Duplicates:   min(repeatWindow, cmp.Or(g.MaxAge, repeatWindow)),
	}
}

// verify names every setting of an existing stream that would break what a Log
// promises. Its limits are the operator's.
func (g LogConfig) verify(raw json.RawMessage) error {
	var have jetstream.StreamConfig
	if err := json.Unmarshal(raw, &have); err != nil {
		return asUnknown(fmt.Errorf("config of stream %s cannot be read: %w", g.Stream, err))
	}
	return wrongSettings(g.Stream, []setting{
		{sameSubjects(have.Subjects, []string{g.Subject + ".>"}), "subjects", g.Subject + ".>"},
		{have.Retention == jetstream.LimitsPolicy, "retention", "limits"},
		{have.Storage == jetstream.FileStorage, "storage", "file"},
		{!have.NoAck && !have.Sealed, "no_ack and sealed", "off"},
		{have.MaxMsgsPerSubject <= 0, "max_msgs_per_subject", "unlimited"},
		{have.Mirror == nil && len(have.Sources) == 0 && have.SubjectTransform == nil, "mirror, sources and subject_transform", "empty"},
	})
}

// limit gives the existing stream the limits of the config.
func (l *Log) limit(ctx context.Context, raw json.RawMessage) error {
	var have jetstream.StreamConfig
	var config map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(raw, &have), json.Unmarshal(raw, &config)); err != nil {
		return asUnknown(err)
	}
	want := l.cfg.config()
	if have.MaxAge == want.MaxAge && have.MaxBytes == want.MaxBytes {
		return nil
	}
	config["max_age"] = json.RawMessage(strconv.FormatInt(int64(want.MaxAge), 10))
	config["max_bytes"] = json.RawMessage(strconv.FormatInt(want.MaxBytes, 10))
	config["duplicate_window"] = json.RawMessage(strconv.FormatInt(int64(want.Duplicates), 10))
	return l.s.c.api(ctx, "STREAM.UPDATE."+l.cfg.Stream, config, nil)
}

// Append stores a message once, however often it is tried: id names it for two
// minutes. While the stream elects a leader, or an answer is lost, it tries
// again until ctx ends; without a deadline in ctx that is DefaultTimeout. seq is
// where the message is stored.
//
// # Errors
//
// ErrRefused, it was not stored; ErrUnknown, it may have been.
func (l *Log) Append(ctx context.Context, m Message, id string) (seq uint64, err error) {
	end := time.Now().Add(appendTime(ctx))
	unknown := false
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 250*time.Millisecond) {
		seq, err = l.append(ctx, m, id, end)
		if err == nil || final(err) {
			break
		}
		unknown = unknown || errors.Is(err, ErrUnknown)
		if time.Now().Add(wait).After(end) || !pause(ctx, wait, wait) {
			break
		}
	}
	switch {
	case err == nil:
		return seq, nil
	case unknown && !errors.Is(err, ErrUnknown): // an earlier try may have been the one
		err = fmt.Errorf("%w: %v", ErrUnknown, err)
	}
	return 0, fmt.Errorf("append to %s: %w", l.cfg.Stream, err)
}

// appendTime is how long an append is tried: never so long that the stream
// could have forgotten the first try.
func appendTime(ctx context.Context) time.Duration {
	if at, ok := ctx.Deadline(); ok {
		return min(time.Until(at), repeatWindow/2)
	}
	return DefaultTimeout
}

// appendTry bounds one try of an append.
const appendTry = 2 * time.Second

func (l *Log) append(ctx context.Context, m Message, id string, end time.Time) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, min(appendTry, time.Until(end)))
	defer cancel()
	h := nats.Header{"Nats-Msg-Id": {id}, "Nats-Expected-Stream": {l.cfg.Stream}}
	for name, values := range m.Header {
		h[name] = values
	}
	answer, err := l.s.c.send(ctx, &nats.Msg{Subject: m.Subject, Header: h, Data: m.Data})
	if err != nil {
		return 0, err
	}
	var ack struct {
		reply
		Stream string `json:"stream"`
		Seq    uint64 `json:"seq"`
	}
	switch err := decode(answer.Data, &ack); {
	case isAPI(err, codeStoreFailed):
		return 0, asUnknown(ack.Error)
	case err != nil:
		return 0, err
	case ack.Stream != l.cfg.Stream || ack.Seq == 0:
		return 0, asUnknown(fmt.Errorf("answer of stream %q with sequence %d", ack.Stream, ack.Seq))
	}
	return ack.Seq, nil
}

// final says that another try of an append cannot help.
func final(err error) bool {
	_, isDenied := errors.AsType[*denied](err)
	_, said := errors.AsType[*apiError](err)
	return isDenied || errors.Is(err, ErrClosed) || errors.Is(err, nats.ErrMaxPayload) ||
		errors.Is(err, ErrRefused) && said
}

// LogState says what a log holds.
type LogState struct {
	First, Last uint64 // sequences; First > Last: nothing
	Messages    uint64
}

// State reads what the log holds.
//
// # Errors
//
// As of [Conn.Request].
func (l *Log) State(ctx context.Context) (LogState, error) {
	in, err := l.s.info(ctx)
	if err != nil {
		return LogState{}, fmt.Errorf("read state of log %s: %w", l.cfg.Stream, err)
	}
	return LogState{First: in.State.FirstSeq, Last: in.State.LastSeq, Messages: in.State.Messages}, nil
}

// MaxPayload is the largest message, with its headers, that the server takes,
// in bytes.
func (c *Conn) MaxPayload() int { return int(c.nc.MaxPayload()) }
