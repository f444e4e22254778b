package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Largest sizes of what an engine answers, in bytes.
const (
	maxAnswer = 4 << 20
	maxFault  = 4 << 10
	maxLogs   = 1 << 20
)

// DefaultSocket is where an engine listens unless it was told otherwise.
const DefaultSocket = "/var/run/docker.sock"

// Client asks one engine. Its methods may be called at the same time.
type Client struct {
	http   *http.Client
	socket string
}

// New returns a client of the engine that listens on a Unix socket. It connects
// when it is first used.
func New(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	// A connection for each request: an engine that was started anew is met at
	// once, and an idle backend holds nothing.
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Error is a refusal by the engine.
type Error struct {
	Status  int // of HTTP
	Message string
}

// Error returns the engine's words and the status.
func (e *Error) Error() string { return fmt.Sprintf("engine: %s (status %d)", e.Message, e.Status) }

// IsNotFound says whether the engine has no such container or image.
func IsNotFound(err error) bool { return hasStatus(err, http.StatusNotFound) }

// IsConflict says whether the engine refused because of the state that the
// container is in, or because its name is taken.
func IsConflict(err error) bool { return hasStatus(err, http.StatusConflict) }

func hasStatus(err error, status int) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == status
}

// do makes a request and returns the answer, which is the caller's to close. A
// status of 300 and above is an error, but for 304: it is so already.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://engine"+path+"?"+query.Encode(), in)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask engine at %s: %w", c.socket, bare(ctx, err))
	}
	if resp.StatusCode < 300 || resp.StatusCode == http.StatusNotModified {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, &Error{Status: resp.StatusCode, Message: faultText(resp.Body)}
}

// bare takes the request's URL, which tells a user nothing, from an error.
func bare(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func faultText(r io.Reader) string {
	b, err := io.ReadAll(io.LimitReader(r, maxFault))
	var m struct{ Message string }
	if err == nil && json.Unmarshal(b, &m) == nil && m.Message != "" {
		return m.Message
	}
	return string(bytes.TrimSpace(b))
}

// ask makes a request and decodes the answer into out, if that is not nil.
func (c *Client) ask(ctx context.Context, method, path string, query url.Values, body, out any) error {
	resp, err := c.do(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read answer of engine: %w", bare(ctx, err))
	}
	return nil
}

func containerPath(name, op string) string {
	p := "/containers/" + url.PathEscape(name)
	if op != "" {
		p += "/" + op
	}
	return p
}

// Inspect returns the container of a name or id.
func (c *Client) Inspect(ctx context.Context, name string) (Container, error) {
	var out Container
	err := c.ask(ctx, http.MethodGet, containerPath(name, "json"), nil, nil, &out)
	return out, err
}

// Create makes a container, which does not run yet.
func (c *Client) Create(ctx context.Context, name string, s Spec) error {
	return c.ask(ctx, http.MethodPost, "/containers/create", url.Values{"name": {name}}, s, nil)
}

// Start starts a container; one that runs already stays as it is.
func (c *Client) Start(ctx context.Context, name string) error {
	return c.ask(ctx, http.MethodPost, containerPath(name, "start"), nil, nil, nil)
}

// Stop asks the container's first process to end, kills it after the grace, and
// returns when it has ended. The engine counts whole seconds; it is given the
// next larger one.
func (c *Client) Stop(ctx context.Context, name string, grace time.Duration) error {
	seconds := int64((grace + time.Second - 1) / time.Second)
	return c.ask(ctx, http.MethodPost, containerPath(name, "stop"), url.Values{"t": {strconv.FormatInt(seconds, 10)}}, nil, nil)
}

// Kill kills the container.
func (c *Client) Kill(ctx context.Context, name string) error {
	return c.ask(ctx, http.MethodPost, containerPath(name, "kill"), nil, nil, nil)
}

// Remove kills the container, if it runs, and forgets it with the volumes that
// have no name.
func (c *Client) Remove(ctx context.Context, name string) error {
	return c.ask(ctx, http.MethodDelete, containerPath(name, ""), url.Values{"force": {"1"}, "v": {"1"}}, nil, nil)
}

// Pull fetches an image from its registry, without a login, and returns when it
// is there.
func (c *Client) Pull(ctx context.Context, image string) error {
	resp, err := c.do(ctx, http.MethodPost, "/images/create", url.Values{"fromImage": {image}}, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(resp.Body)
	for {
		var line struct{ Error string }
		switch err := dec.Decode(&line); {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("read progress of engine: %w", bare(ctx, err))
		case line.Error != "":
			return &Error{Status: resp.StatusCode, Message: line.Error}
		}
	}
}

// Watch calls changed once it watches, and at each event of a container, until
// the context or the engine ends it. It always returns an error.
func (c *Client) Watch(ctx context.Context, name string, changed func()) error {
	filters, err := json.Marshal(map[string][]string{"type": {"container"}, "container": {name}})
	if err != nil {
		return fmt.Errorf("encode filters: %w", err)
	}
	// Engines answer before they listen to themselves (seen: 20.10): without a time
	// what happens in between is lost. Both clocks are this machine's.
	since := strconv.FormatInt(time.Now().Add(-time.Second).Unix(), 10)
	resp, err := c.do(ctx, http.MethodGet, "/events", url.Values{"filters": {string(filters)}, "since": {since}}, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	changed()
	dec := json.NewDecoder(resp.Body)
	for {
		var event struct{}
		if err := dec.Decode(&event); err != nil {
			return fmt.Errorf("watch engine: %w", bare(ctx, err))
		}
		changed()
	}
}

// Logs returns the last lines that a container has written, both streams, at
// most 1 MiB.
func (c *Client) Logs(ctx context.Context, name string, lines int) (string, error) {
	q := url.Values{"stdout": {"1"}, "stderr": {"1"}, "tail": {strconv.Itoa(lines)}}
	resp, err := c.do(ctx, http.MethodGet, containerPath(name, "logs"), q, nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxLogs))
	if err != nil {
		return "", fmt.Errorf("read logs of engine: %w", bare(ctx, err))
	}
	return string(demux(b)), nil
}

// demux takes the frames of the two streams apart: 1 byte stream, 3 bytes 0, 4
// bytes length, big-endian. A container with a terminal has no frames.
func demux(b []byte) []byte {
	var out []byte
	for rest := b; len(rest) > 0; {
		if len(rest) < 8 || rest[0] > 2 || rest[1] != 0 || rest[2] != 0 || rest[3] != 0 {
			return b
		}
		n := uint64(rest[4])<<24 | uint64(rest[5])<<16 | uint64(rest[6])<<8 | uint64(rest[7])
		rest = rest[8:]
		n = min(n, uint64(len(rest))) // the last one may have been cut
		out, rest = append(out, rest[:n]...), rest[n:]
	}
	return out
}
