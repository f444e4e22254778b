package bus

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// batchTry bounds one try: the server forgets a batch that is not finished in
// 10 s, and of one that was cut in the middle it takes nothing.
const batchTry = 5 * time.Second

// putAll stores messages as one atomic batch and returns the sequence of the
// last; see put. Nothing is stored unless the last one is taken, so only its
// fate counts. The messages' headers are written to.
func (s stream) putAll(ctx context.Context, msgs []*nats.Msg) (last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, batchTry)
	defer cancel()
	id := nuid.Next()
	for i, m := range msgs {
		if m.Header == nil {
			m.Header = nats.Header{}
		}
		m.Header["Nats-Batch-Id"] = []string{id}
		m.Header["Nats-Batch-Sequence"] = []string{strconv.Itoa(i + 1)}
		if i == len(msgs)-1 {
			m.Header["Nats-Batch-Commit"] = []string{"1"}
			return s.put(ctx, m)
		}
		if err := s.c.PublishMsg(ctx, Message{Subject: m.Subject, Header: Header(m.Header), Data: m.Data}); err != nil {
			return 0, err
		}
	}
	return 0, nil
}
