package backend

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// prober asks again and again whether a child can work.
type prober struct {
	results chan error // one per check; nil: it can
	cancel  context.CancelFunc
	done    chan struct{}
}

// startProber checks at once and then with the check's interval. exec runs a
// command in the service's cage.
func startProber(check ReadyCheck, exec func(context.Context, []string) error) *prober {
	ctx, cancel := context.WithCancel(context.Background())
	p := &prober{results: make(chan error), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		pause := time.NewTimer(0)
		defer pause.Stop()
		for {
			select {
			case <-pause.C:
			case <-ctx.Done():
				return
			}
			err := check.once(ctx, exec)
			select {
			case p.results <- err:
			case <-ctx.Done():
				return
			}
			pause.Reset(check.Interval)
		}
	}()
	return p
}

// stop ends the prober and the check that it is in.
func (p *prober) stop() {
	p.cancel()
	<-p.done
}

// once makes all checks; nil when all pass.
func (c ReadyCheck) once(ctx context.Context, exec func(context.Context, []string) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if c.TCP != "" {
		if err := checkTCP(ctx, c.TCP); err != nil {
			return err
		}
	}
	if c.HTTP != "" {
		if err := checkHTTP(ctx, c.HTTP, c.ExpectedStatus); err != nil {
			return err
		}
	}
	if len(c.Exec) > 0 {
		if err := exec(ctx, c.Exec); err != nil {
			return fmt.Errorf("check %s: %w", c.Exec[0], err)
		}
	}
	return nil
}

func checkTCP(ctx context.Context, address string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("check tcp: %w", err)
	}
	if err := conn.Close(); err != nil {
		return fmt.Errorf("check tcp: %w", err)
	}
	return nil
}

func checkHTTP(ctx context.Context, url string, status int) error {
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // each check proves a new connection
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("check http: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("check http: %w", err)
	}
	defer resp.Body.Close()
	// The service gets its answer off, and is not reset in the middle of it.
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	ok := resp.StatusCode == status || status == 0 && resp.StatusCode/100 == 2
	if !ok {
		return fmt.Errorf("check http: %s answers with status %d", url, resp.StatusCode)
	}
	return nil
}
