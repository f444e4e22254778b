package embedded

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// What one side says to the other after the handshake: one byte at a time.
const (
	sayBeat byte = 'b' // I live
	sayLost byte = 'l' // I have not heard you, and hang up: I live
	// '0' to '4': I live, but have begun only so many seconds ago: my replicas may
	// not be up to date.
	sayNew byte = '0'
)

const (
	shakeTimeout = 2 * time.Second
	nonceSize    = 32
	magic        = "gcm1"
)

var errProof = errors.New("the proof of the secret is wrong: another platform, or another secret")

// link is a connection on which both sides have proved that they know the
// cluster secret.
type link struct {
	peer string
	conn net.Conn
	last atomic.Int64 // when the peer was heard, nanoseconds since born
	born time.Time

	age atomic.Uint32 // the peer's last word about it: the higher the older
}

func (l *link) heard() { l.last.Store(int64(time.Since(l.born))) }

func (l *link) silent(now time.Time) time.Duration {
	return now.Sub(l.born) - time.Duration(l.last.Load())
}

// say never blocks longer than a beat. A failure needs no answer: the reader of
// the connection finds it too.
func (l *link) say(b byte) {
	_ = l.conn.SetWriteDeadline(time.Now().Add(beat))
	if _, err := l.conn.Write([]byte{b}); err != nil {
		l.conn.Close()
	}
}

// listen returns when the connection has ended: the last word of the peer, 0
// when there was none but beats.
func (l *link) listen() (said byte) {
	buf := make([]byte, 16)
	for {
		n, err := l.conn.Read(buf)
		for _, b := range buf[:n] {
			if b != sayBeat && (b < sayNew || b >= sayNew+youth) {
				return b
			}
			l.age.Store(uint32(b))
		}
		if err != nil {
			return 0
		}
		l.heard()
	}
}

func meshKey(platform, secret string) []byte {
	return []byte(bus.Password(secret, "mesh."+platform))
}

// shake makes a link of a connection, or closes it. The side that dials knows
// whom it called; the other one passes no name, and learns it.
//
//	dialer:   "gcm1" | nonce D (32) | length (1) | name D
//	acceptor: nonce A (32) | length (1) | name A | HMAC(key, "accept" | all before)
//	dialer:   HMAC(key, "dial" | all before)
func (m *mesh) shake(ctx context.Context, raw net.Conn, calling string) (*link, error) {
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	peer, conn, err := m.greet(ctx, raw, calling)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("greet peer: %w", err)
	}
	l := &link{peer: peer, conn: conn, born: time.Now()}
	l.age.Store(uint32(sayBeat)) // until it says better: two that both wait lose less than two that both stand
	return l, nil
}

func (m *mesh) greet(ctx context.Context, conn net.Conn, calling string) (string, net.Conn, error) {
	if err := conn.SetDeadline(time.Now().Add(shakeTimeout)); err != nil {
		return "", conn, err
	}
	if m.tls != nil {
		var err error
		if conn, err = m.secure(ctx, conn, calling); err != nil {
			return "", conn, err
		}
	}
	peer, err := calling, error(nil)
	if calling != "" {
		err = m.greetFirst(conn, calling)
	} else {
		peer, err = m.greetBack(conn)
	}
	if err != nil {
		return "", conn, err
	}
	return peer, conn, conn.SetDeadline(time.Time{})
}

func (m *mesh) secure(ctx context.Context, conn net.Conn, calling string) (net.Conn, error) {
	if calling == "" {
		c := tls.Server(conn, m.tls)
		return c, c.HandshakeContext(ctx)
	}
	cfg := m.tls.Clone()
	cfg.ServerName, _, _ = net.SplitHostPort(m.peers[calling])
	c := tls.Client(conn, cfg)
	return c, c.HandshakeContext(ctx)
}

// greetFirst is the dialer's side.
func (m *mesh) greetFirst(conn net.Conn, peer string) error {
	t := transcript{key: m.key, conn: conn}
	t.send([]byte(magic))
	t.send(nonce())
	t.sendName(m.self)
	t.receive(nonceSize)
	if name := t.receiveName(); t.err == nil && name != peer {
		return fmt.Errorf("called %s, %q answered: an address of a peer is wrong", peer, name)
	}
	t.check("accept")
	t.prove("dial")
	return t.err
}

// greetBack is the acceptor's side. It takes only the peers that are to dial it.
func (m *mesh) greetBack(conn net.Conn) (peer string, err error) {
	t := transcript{key: m.key, conn: conn}
	if got := t.receive(len(magic)); t.err == nil && string(got) != magic {
		return "", errors.New("not a peer mesh of this version")
	}
	t.receive(nonceSize)
	peer = t.receiveName()
	if _, known := m.peers[peer]; t.err == nil && (!known || peer >= m.self) {
		return "", fmt.Errorf("%q is no peer that dials this server", peer)
	}
	t.send(nonce())
	t.sendName(m.self)
	t.prove("accept")
	t.check("dial")
	return peer, t.err
}

func nonce() []byte {
	b := make([]byte, nonceSize)
	_, _ = rand.Read(b) // never fails: it ends the process instead
	return b
}

// transcript is a handshake: each proof is over all that was said before it.
// After the first error nothing more happens.
type transcript struct {
	key  []byte
	conn net.Conn
	said []byte
	err  error
}

func (t *transcript) send(b []byte) {
	if t.err == nil {
		_, t.err = t.conn.Write(b)
	}
	t.said = append(t.said, b...)
}

func (t *transcript) receive(n int) []byte {
	b := make([]byte, n)
	if t.err == nil {
		_, t.err = io.ReadFull(t.conn, b)
	}
	t.said = append(t.said, b...)
	return b
}

func (t *transcript) sendName(name string) { t.send(append([]byte{byte(len(name))}, name...)) }

func (t *transcript) receiveName() string {
	n := int(t.receive(1)[0])
	if n > pluginapi.MaxName {
		t.err = errors.Join(t.err, fmt.Errorf("a name of %d bytes", n))
	}
	return string(t.receive(n))
}

func (t *transcript) mac(label string) []byte {
	h := hmac.New(sha256.New, t.key)
	h.Write([]byte(label))
	h.Write(t.said)
	return h.Sum(nil)
}

func (t *transcript) prove(label string) { t.send(t.mac(label)) }

func (t *transcript) check(label string) {
	want := t.mac(label)
	if got := t.receive(len(want)); t.err == nil && !hmac.Equal(got, want) {
		t.err = errProof
	}
}
