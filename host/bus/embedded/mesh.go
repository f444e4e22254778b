package embedded

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

// Times and limits of the mesh.
const (
	beat          = 100 * time.Millisecond
	missed        = 3                      // beats without a word: the peer is dead
	rankStep      = 250 * time.Millisecond // room for the write of a vote on a busy disk: a vote that is split costs an election timeout
	youth         = 5                      // seconds: a server that has just begun is last to stand for election
	dialTimeout   = 500 * time.Millisecond
	redialFirst   = beat
	redialMost    = time.Second
	maxHandshakes = 64 // strangers that may be at the door at once
)

// mesh holds one connection to each peer, over which both sides say every 100
// ms that they live. Of two servers the one with the lower name dials.
//
// died is called, once for each loss, after the time that the rank of this
// server among the living asks for: the first at once, the next one 250 ms
// later, and so on. Lower names come first, but behind all others those that
// have begun, or stood still, less than 5 s ago, the last one last: they may
// still catch up, and a server that does cannot be elected, or not by those that
// are ahead of it.
type mesh struct {
	self  string
	peers map[string]string // name -> mesh address
	key   []byte
	tls   *tls.Config // nil: plain
	ln    net.Listener
	log   *slog.Logger
	died  func(peer string)

	mu    sync.Mutex
	links map[string]*link
	fresh time.Time // when it began, or last stood still
	age   byte      // what it has last said of that: all reckon with the same
}

// run returns when ctx has ended and every connection and goroutine with it.
func (m *mesh) run(ctx context.Context) {
	m.begin(time.Now())
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() { m.ln.Close() })
	defer stop()
	for peer, addr := range m.peers {
		if m.self < peer {
			wg.Go(func() { m.dialLoop(ctx, &wg, peer, addr) })
		}
	}
	wg.Go(func() { m.beatLoop(ctx) })
	m.acceptLoop(ctx, &wg)
	<-ctx.Done()
}

func (m *mesh) acceptLoop(ctx context.Context, wg *sync.WaitGroup) {
	door := make(chan struct{}, maxHandshakes)
	for {
		conn, err := m.ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return
		}
		if err != nil { // too many open files, mostly
			m.log.Warn("peer mesh: accept", "err", err)
			if !wait(ctx, redialMost) {
				return
			}
			continue
		}
		select {
		case door <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		wg.Go(func() {
			l, err := m.shake(ctx, conn, "")
			<-door
			if err != nil {
				m.log.Debug("peer mesh: refused", "from", conn.RemoteAddr(), "err", err)
				return
			}
			m.serve(ctx, wg, l)
		})
	}
}

func (m *mesh) dialLoop(ctx context.Context, wg *sync.WaitGroup, peer, addr string) {
	d := net.Dialer{Timeout: dialTimeout}
	pause := redialFirst
	for ctx.Err() == nil {
		conn, err := d.DialContext(ctx, "tcp", addr)
		var l *link
		if err == nil {
			l, err = m.shake(ctx, conn, peer)
		}
		if err == nil {
			m.serve(ctx, wg, l)
			pause = redialFirst
		} else {
			m.log.Debug("peer mesh: dial", "peer", peer, "err", err)
		}
		if !wait(ctx, pause) {
			return
		}
		pause = min(2*pause, redialMost)
	}
}

// serve reads from a peer until the connection ends.
func (m *mesh) serve(ctx context.Context, wg *sync.WaitGroup, l *link) {
	stop := context.AfterFunc(ctx, func() { l.conn.Close() })
	defer stop()
	defer l.conn.Close()
	m.mu.Lock()
	old := m.links[l.peer]
	m.links[l.peer] = l
	m.mu.Unlock()
	if old != nil { // the peer came back before we missed it
		old.conn.Close()
	}
	m.log.Debug("peer mesh: up", "peer", l.peer)
	l.say(m.said()) // a peer that dies before the first beat must not find us in the wrong place

	said := l.listen()

	m.mu.Lock()
	current := m.links[l.peer] == l
	if current {
		delete(m.links, l.peer)
	}
	m.mu.Unlock()
	if !current || ctx.Err() != nil {
		return
	}
	m.log.Debug("peer mesh: down", "peer", l.peer, "said", said)
	if said == sayLost { // it lives, and was the one that missed our beats
		return
	}
	rank := m.rank()
	wg.Go(func() {
		if wait(ctx, time.Duration(rank)*rankStep) {
			m.died(l.peer)
		}
	})
}

// up names the peers whose connection lives.
func (m *mesh) up() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := []string{}
	for name := range m.links {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// rank is the number of living servers that come before this one.
func (m *mesh) rank() (before int) {
	age := uint32(m.said())
	for _, l := range m.all() {
		if theirs := l.age.Load(); theirs > age || theirs == age && l.peer < m.self {
			before++
		}
	}
	return before
}

// said is what this server has last said of its age.
func (m *mesh) said() byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.age
}

// word is what this server says with the next beat.
func (m *mesh) word(now time.Time) byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.age = sayBeat
	if s := now.Sub(m.fresh) / time.Second; s < youth {
		m.age = sayNew + byte(max(s, 0))
	}
	return m.age
}

// begin makes this server new.
func (m *mesh) begin(now time.Time) {
	m.mu.Lock()
	m.fresh = now
	m.mu.Unlock()
	m.word(now)
}

// beatLoop says to all peers that this server lives, and ends the connections
// of those that do not say it. When this loop itself was late, the process was
// starved or frozen, and the silence was its own: then all get another chance.
func (m *mesh) beatLoop(ctx context.Context) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		m.pulse(now, now.Sub(last) > 2*beat)
		last = now
	}
}

// pulse is one round of beatLoop.
func (m *mesh) pulse(now time.Time, late bool) {
	if late {
		m.begin(now)
	}
	word := m.word(now)
	for _, l := range m.all() {
		switch {
		case late:
			l.heard()
			l.say(word)
		case l.silent(now) > missed*beat:
			l.say(sayLost)
			l.conn.Close()
		default:
			l.say(word)
		}
	}
}

func (m *mesh) all() (links []*link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.links {
		links = append(links, l)
	}
	return links
}

// wait reports whether the time has passed before the context ended.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
