package backendtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ozanturksever/go-cluster/builtin/backend/engine"
)

// Image is the image that the engine of [StartDocker] has: boxed, with the
// folder /ctl to look at.
const Image = "gctest:1"

// StartDocker starts a dockerd with folders, socket and mount namespace of its
// own, without networks, and puts [Image] into it. stop ends it and removes its
// folders; call it also after an error.
func StartDocker(ctx context.Context) (socket string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "gcd")
	if err != nil {
		return "", func() {}, err
	}
	stop = func() { os.RemoveAll(dir) }
	program, err := BuildBoxed(dir)
	if err != nil {
		return "", stop, err
	}
	socket = filepath.Join(dir, "sock")
	cmd := exec.Command("dockerd", "-H", "unix://"+socket, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "--storage-driver=vfs", "--iptables=false", "--ip6tables=false", "--bridge=none")
	var log bytes.Buffer
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Unshareflags: syscall.CLONE_NEWNS}
	if err := cmd.Start(); err != nil {
		return "", stop, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its log tells more
	}()
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		os.RemoveAll(dir)
	}
	if err := awaitEngine(ctx, socket, ended); err != nil {
		stop()
		return "", func() {}, fmt.Errorf("start dockerd: %w: %s", err, log.Bytes())
	}
	return socket, stop, importImage(ctx, socket, program)
}

// awaitEngine waits until the engine answers.
func awaitEngine(ctx context.Context, socket string, ended <-chan struct{}) error {
	client := engine.New(socket)
	for {
		if _, err := client.Inspect(ctx, "nobody"); engine.IsNotFound(err) {
			return nil
		}
		select {
		case <-ended:
			return errors.New("it has ended")
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// importImage makes an image of one file. The engine answers with a stream of
// JSON whose errors are lines of their own.
func importImage(ctx context.Context, socket, program string) error {
	files, err := image(program)
	if err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	name, tag, _ := strings.Cut(Image, ":")
	q := url.Values{"fromSrc": {"-"}, "repo": {name}, "tag": {tag}, "changes": {`ENTRYPOINT ["/boxed"]`, `CMD ["/ctl"]`}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://engine/images/create?"+q.Encode(), bytes.NewReader(files))
	if err != nil {
		return fmt.Errorf("import image: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("import image: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || bytes.Contains(text, []byte(`"error"`)) {
		return fmt.Errorf("import image: status %s: %s: %w", resp.Status, text, errors.Join(err, errors.New("the engine refused")))
	}
	return nil
}
