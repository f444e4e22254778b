package host

import "testing"

func TestReachable(t *testing.T) {
	for _, c := range []struct{ server, address, want string }{
		{"nats://127.0.0.1:4222", "10.0.0.1", "nats://127.0.0.1:4222"},
		{"tls://10.0.0.7:4222", "10.0.0.1", "tls://10.0.0.7:4222"},
		{"tls://0.0.0.0:4222", "10.0.0.1", "tls://10.0.0.1:4222"},
		{"tls://0.0.0.0:4222", "n1.example:8080", "tls://n1.example:4222"},
		{"tls://[::]:4222", "fd00::1", "tls://[fd00::1]:4222"},
		{"tls://[::]:4222", "[fd00::1]:8080", "tls://[fd00::1]:4222"},
		{"nats://0.0.0.0:4222", "", "nats://127.0.0.1:4222"},
		{"", "10.0.0.1", ""},
	} {
		if got := reachable(c.server, c.address); got != c.want {
			t.Errorf("%q of a node at %q: %q, want %q", c.server, c.address, got, c.want)
		}
	}
}
