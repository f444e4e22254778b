package bus

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// counted counts the writes to a connection.
type counted struct {
	net.Conn
	mu     sync.Mutex
	writes int
}

func (c *counted) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.writes++
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// link is a socket and the other end of its connection.
func link(t *testing.T) (s *socket, far net.Conn, near *counted) {
	t.Helper()
	a, far := net.Pipe()
	near = &counted{Conn: a}
	s = newSocket(t.Context(), near)
	t.Cleanup(func() { far.Close(); s.Close() })
	return s, far, near
}

// TestSocketKeepsTheOrder: what is written arrives complete and in order, however
// large and quick the writes are, and Close sends the rest.
func TestSocketKeepsTheOrder(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		s, far, _ := link(t)
		var want bytes.Buffer
		got := make(chan []byte, 1)
		go func() { all, _ := io.ReadAll(far); got <- all }()
		for i := range 500 {
			b := bytes.Repeat([]byte{byte(i)}, 1+rnd.IntN(100))
			if rnd.IntN(20) == 0 {
				b = bytes.Repeat(b, gatherMost/len(b)+rnd.IntN(10))
			}
			want.Write(b)
			if n, err := s.Write(b); n != len(b) || err != nil {
				t.Fatal(n, err)
			}
			clear(b) // it is ours again
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if all := <-got; !bytes.Equal(all, want.Bytes()) {
			t.Errorf("seed %d: %d bytes came, not the %d that were sent", seed, len(all), want.Len())
		}
		if _, err := s.Write([]byte("x")); err == nil {
			t.Error("written after Close")
		}
	}
}

// TestSocketGathers: what comes while a write is under way goes out in one.
func TestSocketGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, far := net.Pipe()
		near := &counted{Conn: a}
		s := newSocket(context.Background(), near)
		<-time.After(time.Second)
		go func() { _, _ = s.Write([]byte("first")) }() // quiet: it is not held up
		synctest.Wait()
		for range 1000 {
			if _, err := s.Write([]byte("more")); err != nil {
				t.Fatal(err)
			}
		}
		buf := make([]byte, 5+4000)
		if _, err := io.ReadFull(far, buf); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if near.writes != 2 {
			t.Errorf("%d writes", near.writes)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		far.Close()
	})
}

// TestSocketOfADeadLink: writes do not pile up for a network that takes nothing,
// and end with its time; who reads hears of it, and Close does not wait for it.
func TestSocketOfADeadLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, far := net.Pipe()
		defer far.Close()
		s := newSocket(context.Background(), a)
		begun := time.Now()
		go func() { _, _ = s.Write([]byte("first")) }() // it is written at once, and does not get through
		synctest.Wait()
		var err error
		written := 0
		for err == nil {
			var n int
			n, err = s.Write(make([]byte, 1000))
			written += n
		}
		if took := time.Since(begun); took != writeTimeout {
			t.Errorf("it took %v", took)
		}
		if written > gatherRoom+3000 || written < gatherRoom {
			t.Errorf("%d bytes wait", written)
		}
		if _, err := s.Read(make([]byte, 1)); err == nil {
			t.Error("it can be read")
		}
		s.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		a, far := net.Pipe()
		defer far.Close()
		s := newSocket(context.Background(), a)
		go func() { _, _ = s.Write(make([]byte, 1000)) }()
		synctest.Wait()
		begun := time.Now()
		s.Close()
		if took := time.Since(begun); took != lastWords {
			t.Errorf("Close took %v", took)
		}
	})
}

// TestSocketIsKilled: the end of the context ends everything at once.
func TestSocketIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, far := net.Pipe()
		defer far.Close()
		ctx, cancel := context.WithCancel(context.Background())
		s := newSocket(ctx, a)
		errs := make(chan error, 1)
		go func() {
			_, err := s.Write(make([]byte, gatherMost))
			errs <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-errs; !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		synctest.Wait()
		select {
		case <-s.done:
		default:
			t.Error("it goes on")
		}
	})
}
