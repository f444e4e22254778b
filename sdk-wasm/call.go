package sdk

import (
	"slices"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Call is one call of the plugin, and its way to the host. It is valid until the
// plugin's function returns. All that it asks of the host needs a capability in
// the manifest that the operator has granted, else the error is ErrNotGranted.
type Call struct {
	Platform string
	Node     string
	App      string // "" for a plugin that serves the whole platform
	Seed     uint64 // for decisions that are the same on every node

	host Host
	buf  []byte
}

type message interface{ Append(dst []byte) []byte }

func (c *Call) ask(op string, m message) ([]byte, error) {
	c.buf = c.buf[:0]
	if m != nil {
		c.buf = m.Append(c.buf)
	}
	return c.host.Call(op, c.buf)
}

// value asks for an answer in bytes.
func (c *Call) value(op string, m message) ([]byte, error) {
	b, err := c.ask(op, m)
	if err != nil {
		return nil, err
	}
	var v wire.Value
	if err := v.Decode(b); err != nil {
		return nil, err
	}
	return slices.Clone(v.Value), nil
}

// Get reads a key; ErrKeyNotFound if there is none.
func (c *Call) Get(key string) ([]byte, error) { return c.value(wire.HostKVGet, &wire.Key{Key: key}) }

// Put writes a key.
func (c *Call) Put(key string, value []byte) error {
	_, err := c.ask(wire.HostKVPut, &wire.KeyValue{Key: key, Value: value})
	return err
}

// Delete deletes a key.
func (c *Call) Delete(key string) error {
	_, err := c.ask(wire.HostKVDelete, &wire.Key{Key: key})
	return err
}

// Keys lists the keys that begin with prefix, sorted.
func (c *Call) Keys(prefix string) ([]string, error) {
	b, err := c.ask(wire.HostKVKeys, &wire.Key{Key: prefix})
	if err != nil {
		return nil, err
	}
	var m wire.Keys
	if err := m.Decode(slices.Clone(b)); err != nil {
		return nil, err
	}
	return m.Keys, nil
}

// Publish publishes an event of the app.
func (c *Call) Publish(subject string, data []byte) error {
	_, err := c.ask(wire.HostPublish, &wire.Publish{Subject: subject, Data: data})
	return err
}

// RPC calls a method of an app. A timeout of 0 is the rest of the plugin's own
// deadline.
func (c *Call) RPC(app, method string, data []byte, timeout time.Duration) ([]byte, error) {
	return c.value(wire.HostCall, &wire.Call{App: app, Method: method, Data: data, Timeout: timeout.Milliseconds()})
}

// The messages of HTTP and of commands.
type (
	Header   = wire.Header
	Request  = wire.HTTPRequest
	Response = wire.HTTPResponse
	Command  = wire.ExecRequest
	Result   = wire.ExecResult
)

// HTTP makes one exchange. Any status is an answer, not an error.
func (c *Call) HTTP(r Request) (Response, error) {
	var m Response
	b, err := c.ask(wire.HostHTTP, &r)
	if err == nil {
		err = m.Decode(slices.Clone(b))
	}
	return m, err
}

// Exec runs a command that the grant names; for backends only. Any exit code is
// an answer, not an error.
func (c *Call) Exec(r Command) (Result, error) {
	var m Result
	b, err := c.ask(wire.HostExec, &r)
	if err == nil {
		err = m.Decode(slices.Clone(b))
	}
	return m, err
}

// Secret reads a secret of the node by its name.
func (c *Call) Secret(name string) (string, error) {
	b, err := c.value(wire.HostSecret, &wire.Key{Key: name})
	return string(b), err
}

// Now is the time on this node. A policy must not ask: it decides by its
// arguments alone.
func (c *Call) Now() (time.Time, error) {
	var m wire.Clock
	b, err := c.ask(wire.HostClock, nil)
	if err == nil {
		err = m.Decode(b)
	}
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(m.UnixMS).UTC(), nil
}

// Random gives n random bytes, at most 1024.
func (c *Call) Random(n int) ([]byte, error) {
	return c.value(wire.HostRandom, &wire.Random{Count: int64(n)})
}

// Level is how much a line of the log matters; the numbers are those of log/slog.
type Level int32

// The levels of the log.
const (
	LevelDebug Level = -4
	LevelInfo  Level = 0
	LevelWarn  Level = 4
	LevelError Level = 8
)

// Debug logs a message with pairs of keys and values.
func (c *Call) Debug(text string, pairs ...string) { c.log(LevelDebug, text, pairs) }

// Info logs a message with pairs of keys and values.
func (c *Call) Info(text string, pairs ...string) { c.log(LevelInfo, text, pairs) }

// Warn logs a message with pairs of keys and values.
func (c *Call) Warn(text string, pairs ...string) { c.log(LevelWarn, text, pairs) }

// Error logs a message with pairs of keys and values.
func (c *Call) Error(text string, pairs ...string) { c.log(LevelError, text, pairs) }

// log writes "text key=value key=value", with quotes where a value needs them.
func (c *Call) log(level Level, text string, pairs []string) {
	b := append(c.buf[:0], text...)
	for i := 0; i+1 < len(pairs); i += 2 {
		b = append(append(append(b, ' '), pairs[i]...), '=')
		if v := pairs[i+1]; v == "" || strings.ContainsAny(v, " =\"\n\t") {
			b = appendQuoted(b, v)
		} else {
			b = append(b, v...)
		}
	}
	c.buf = b
	c.host.Log(level, string(b))
}

// appendQuoted puts text between quotes, as JSON would.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch x := s[i]; x {
		case '"', '\\':
			b = append(b, '\\', x)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, x)
		}
	}
	return append(b, '"')
}
