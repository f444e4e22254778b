package bus

import (
	"context"
	"fmt"
	"testing"
)

// TestFeedFollow: a reader that is slower than what comes, told of what is not
// so, begun in the middle of a feed that is trimmed, gets each message once and
// in order.
func TestFeedFollow(t *testing.T) {
	s := startServer(t)
	c := dialServer(t, s)
	ctx, cancel := context.WithCancel(within(t, patience))
	defer cancel()
	f := openFeed(t, c)
	h := must(f.Raise(ctx, 1))
	at := h.EpochSeq
	write := func(n int) {
		for range n {
			at = must(f.Append(ctx, at, [][]byte{fmt.Append(nil, at+1)}))
		}
	}
	write(20)
	if err := f.Trim(ctx, 10); err != nil {
		t.Fatal(err)
	}
	const all = 3 * feedRoom
	begun, gate, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var got []uint64
	go func() {
		done <- f.Follow(ctx, 5, func(m FeedMessage) {
			if len(got) == 0 {
				close(begun)
				<-gate
			}
			if m.Epoch == 0 && string(m.Data) != fmt.Sprint(m.Seq) {
				t.Errorf("message %d says %q", m.Seq, m.Data)
			}
			if got = append(got, m.Seq); m.Seq == all {
				cancel()
			}
		})
	}()
	<-begun
	write(all - 20 - 10)
	must(f.Raise(ctx, 2)) // behind more than it has room for
	at++
	for subject, head := range map[string]Header{
		f.cfg.Republish + ".change": {"Nats-Stream": {"other"}, "Nats-Sequence": {"25"}},
		f.cfg.Republish + ".epoch":  {"Nats-Stream": {f.cfg.Stream}, "Nats-Sequence": {"nonsense"}},
	} {
		if err := c.PublishMsg(ctx, Message{Subject: subject, Header: head, Data: []byte("lie")}); err != nil {
			t.Fatal(err)
		}
	}
	close(gate)
	write(int(all - at))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i, seq := range got {
		if seq != uint64(i+10) {
			t.Fatalf("message %d comes in place of %d", seq, i+10)
		}
	}
	if len(got) != all-9 {
		t.Errorf("%d messages, want %d", len(got), all-9)
	}
}
