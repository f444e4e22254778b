package embedded

import (
	"context"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// node is a mesh without a server, which records what died.
type meshNode struct {
	*mesh
	stop func()

	mu   sync.Mutex
	dead []string
	at   []time.Time
}

func (n *meshNode) deaths() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.dead)
}

// meshes makes meshes of the given names that know each other.
func meshes(t *testing.T, names ...string) map[string]*meshNode {
	t.Helper()
	addrs, all := map[string]string{}, map[string]*meshNode{}
	listeners := map[string]net.Listener{}
	for _, name := range names {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[name], addrs[name] = ln, ln.Addr().String()
	}
	for _, name := range names {
		n := &meshNode{mesh: &mesh{
			self: name, peers: map[string]string{}, key: meshKey(platform, testSecret),
			ln: listeners[name], log: slog.New(slog.DiscardHandler), links: map[string]*link{},
		}}
		for other, addr := range addrs {
			if other != name {
				n.peers[other] = addr
			}
		}
		n.died = func(peer string) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.dead, n.at = append(n.dead, peer), append(n.at, time.Now())
		}
		all[name] = n
	}
	return all
}

// start runs a mesh; the function that it leaves in stop ends it and waits.
func (n *meshNode) start(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { n.run(ctx); close(ended) }()
	n.stop = func() { cancel(); <-ended }
	t.Cleanup(n.stop)
}

func (n *meshNode) sees(peers ...string) bool { return slices.Equal(n.up(), peers) }

// Every pair is connected; when one ends, all others notice, the lowest at once
// and the next one later; when it comes back, they are connected again.
func TestMeshNoticesDeathByRank(t *testing.T) {
	all := meshes(t, "a", "b", "c")
	a, b, c := all["a"], all["b"], all["c"]
	for _, n := range all {
		n.start(t)
	}
	eventually(t, "all are connected", func() bool { return a.sees("b", "c") && b.sees("a", "c") && c.sees("a", "b") })
	for _, r := range []struct {
		n    *meshNode
		want int
	}{{a, 0}, {b, 1}, {c, 2}} {
		if got := r.n.rank(); got != r.want {
			t.Errorf("%s has rank %d, want %d", r.n.self, got, r.want)
		}
	}
	at := time.Now()
	a.stop()
	eventually(t, "both survivors acted", func() bool { return len(b.deaths()) == 1 && len(c.deaths()) == 1 })
	if b.deaths()[0] != "a" || c.deaths()[0] != "a" {
		t.Errorf("dead are %v and %v, want a", b.deaths(), c.deaths())
	}
	if first, second := b.at[0].Sub(at), c.at[0].Sub(at); first >= second || second < rankStep {
		t.Errorf("b acted after %v, c after %v: b is first, c at least %v later", first, second, rankStep)
	}
	if n := len(a.deaths()); n != 0 {
		t.Errorf("the one that ended itself saw %d others die", n)
	}

	ln, err := net.Listen("tcp", a.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a.ln = ln
	a.start(t)
	eventually(t, "all are connected again", func() bool { return a.sees("b", "c") && b.sees("a", "c") && c.sees("a", "b") })
}

// A server that has just begun lets all others go first, whatever its name.
func TestMeshLetsTheYoungWait(t *testing.T) {
	all := meshes(t, "a", "b", "c", "d")
	a, b, c, d := all["a"], all["b"], all["c"], all["d"]
	for _, n := range all {
		n.start(t)
	}
	eventually(t, "all are connected", func() bool {
		return len(a.up()) == 3 && len(b.up()) == 3 && len(c.up()) == 3 && len(d.up()) == 3
	})
	// Ages that do not change while the test runs.
	for n, age := range map[*meshNode]time.Duration{a: -time.Hour, b: time.Hour, c: time.Hour, d: time.Hour} {
		n.begin(time.Now().Add(-age))
	}
	eventually(t, "all know who is young", func() bool { return a.rank() == 3 && b.rank() == 0 && c.rank() == 1 && d.rank() == 2 })
	d.stop()
	eventually(t, "the survivors acted", func() bool { return len(a.deaths()) == 1 && len(b.deaths()) == 1 && len(c.deaths()) == 1 })
	if !b.at[0].Before(c.at[0]) || !c.at[0].Before(a.at[0]) {
		t.Errorf("a acted at %v, b at %v, c at %v: want b, c, a", a.at[0], b.at[0], c.at[0])
	}
	b.pulse(time.Now(), true) // it stood still, longer ago than a began
	eventually(t, "the older comes first", func() bool { return c.rank() == 0 && b.rank() == 1 && a.rank() == 2 })
}

// call connects as a peer would and returns the link, without beats of its own.
func call(t *testing.T, as *meshNode, to *meshNode) *link {
	t.Helper()
	conn, err := net.Dial("tcp", to.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l, err := as.shake(t.Context(), conn, to.self)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.conn.Close() })
	return l
}

// A peer that says nothing for three beats is dead, one that speaks is not, and
// before it hangs up the mesh says that it lives itself.
func TestMeshNoticesSilence(t *testing.T) {
	all := meshes(t, "a", "b")
	a, b := all["a"], all["b"]
	b.start(t)
	l := call(t, a, b)
	eventually(t, "connected", func() bool { return b.sees("a") })
	at := time.Now()
	for time.Since(at) < 10*beat {
		l.say(sayBeat)
		<-time.After(beat / 2)
	}
	if d := b.deaths(); len(d) != 0 {
		t.Fatalf("%v died while it spoke", d)
	}
	at = time.Now()
	said, err := io.ReadAll(l.conn)
	if err != nil {
		t.Fatal(err)
	}
	if silence := time.Since(at); silence < (missed-1)*beat {
		t.Errorf("hung up after %v of silence", silence)
	}
	if n := len(said); n < 2 || said[n-1] != sayLost || said[n-2] != b.said() {
		t.Errorf("the last words are %q", said[max(0, len(said)-3):])
	}
	eventually(t, "the silent one is dead", func() bool { return slices.Equal(b.deaths(), []string{"a"}) && b.sees() })
}

// After a pause of this process nobody is dead yet.
func TestMeshAfterItsOwnPause(t *testing.T) {
	m := meshes(t, "a", "b")["b"]
	ours, theirs := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	defer ours.Close()
	l := &link{peer: "a", conn: ours, born: time.Now().Add(-time.Minute)}
	m.links["a"] = l
	m.pulse(time.Now(), true)
	m.pulse(time.Now(), false)
	if _, err := ours.Write([]byte{sayBeat}); err != nil {
		t.Errorf("the connection ended after a pause of our own: %v", err)
	}
	m.pulse(time.Now().Add(missed*beat+beat), false)
	if _, err := ours.Write([]byte{sayBeat}); err == nil {
		t.Error("the connection lives after the peer's silence")
	}
}

// A peer that hangs up because it did not hear us is alive.
func TestMeshOfOneThatLostUs(t *testing.T) {
	all := meshes(t, "a", "b")
	a, b := all["a"], all["b"]
	b.start(t)
	l := call(t, a, b)
	eventually(t, "connected", func() bool { return b.sees("a") })
	l.say(sayLost)
	l.conn.Close()
	eventually(t, "disconnected", func() bool { return b.sees() })
	// The same again, with a death: whatever the first one started is over then.
	l = call(t, a, b)
	eventually(t, "connected again", func() bool { return b.sees("a") })
	if d := b.deaths(); len(d) != 0 {
		t.Errorf("%v died, though it said that it lives", d)
	}
	l.conn.Close()
	eventually(t, "dead", func() bool { return len(b.deaths()) > 0 })
	if d := b.deaths(); len(d) != 1 {
		t.Errorf("%d deaths, want the one without a word", len(d))
	}
}

// A peer that connects again before its end was noticed takes the place of its
// old connection, and is not dead.
func TestMeshTakesTheNewerConnection(t *testing.T) {
	all := meshes(t, "a", "b")
	a, b := all["a"], all["b"]
	b.start(t)
	old := call(t, a, b)
	eventually(t, "connected", func() bool { return b.sees("a") })
	fresh := call(t, a, b)
	if said := old.listen(); said != 0 {
		t.Errorf("the old connection ended with %q", said)
	}
	at := time.Now()
	for time.Since(at) < 5*beat {
		fresh.say(sayBeat)
		<-time.After(beat / 2)
	}
	if !b.sees("a") || len(b.deaths()) != 0 {
		t.Errorf("connected are %v, dead %v", b.up(), b.deaths())
	}
}

// Nobody speaks on the mesh who does not know the secret, is not one of the
// peers, or is not to dial.
func TestMeshRefusesStrangers(t *testing.T) {
	all := meshes(t, "a", "b", "c")
	b := all["b"]
	b.start(t)
	for _, s := range []struct {
		name   string
		change func(*mesh)
	}{
		{"another secret", func(m *mesh) { m.key = meshKey(platform, "another secret") }},
		{"another platform", func(m *mesh) { m.key = meshKey("p2", testSecret) }},
		{"not a peer", func(m *mesh) { m.self = "aa" }},
		{"a peer that is to be dialled", func(m *mesh) { m.self = "c" }},
		{"itself", func(m *mesh) { m.self = "b" }},
	} {
		t.Run(s.name, func(t *testing.T) {
			m := &mesh{self: "a", peers: all["a"].peers, key: meshKey(platform, testSecret)}
			s.change(m)
			conn, err := net.Dial("tcp", b.ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := m.shake(t.Context(), conn, "b"); err == nil {
				t.Error("the handshake ended well")
			}
			if !b.sees() {
				t.Errorf("connected are %v", b.up())
			}
		})
	}
	// Who gets the acceptor's proof still has to give its own.
	for _, proof := range [][]byte{make([]byte, 32), nil} {
		conn, err := net.Dial("tcp", b.ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		tr := transcript{key: meshKey(platform, testSecret), conn: conn}
		tr.send([]byte(magic))
		tr.send(nonce())
		tr.sendName("a")
		tr.receive(nonceSize)
		tr.receiveName()
		theirs := tr.mac("accept")
		tr.check("accept")
		if proof == nil {
			proof = theirs // thrown back
		}
		tr.send(proof)
		if _, err := io.ReadAll(conn); err != nil && tr.err == nil {
			t.Logf("hung up with %v", err)
		}
		conn.Close()
		if tr.err != nil {
			t.Fatal(tr.err)
		}
		if !b.sees() {
			t.Errorf("connected are %v", b.up())
		}
	}
}

// The side that dials believes nobody without proof either.
func TestMeshDialsOnlyPeers(t *testing.T) {
	all := meshes(t, "a", "b")
	a, b := all["a"], all["b"]
	b.key = meshKey(platform, "another secret")
	client, srv := net.Pipe()
	go func() { _, _ = b.shake(t.Context(), srv, "") }()
	if _, err := a.shake(t.Context(), client, "b"); err == nil {
		t.Error("a peer without the secret was believed")
	}
	b.key, b.self = a.key, "bb"
	client, srv = net.Pipe()
	go func() { _, _ = b.shake(t.Context(), srv, "") }()
	if _, err := a.shake(t.Context(), client, "b"); err == nil {
		t.Error("bb was taken for b")
	}
}
