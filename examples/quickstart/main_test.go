package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain runs the service itself when a test has started this binary as one.
func TestMain(m *testing.M) {
	if os.Getenv("QUICKSTART_SERVE") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// service is the quickstart as a process of its own.
type service struct {
	cmd *exec.Cmd
	url string
}

func start(t *testing.T, env ...string) *service {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-addr", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), append(env, "QUICKSTART_SERVE=1")...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("read the line that says where it listens: %v", err)
	}
	_, url, ok := strings.Cut(strings.TrimSpace(line), "listening on ")
	if !ok {
		t.Fatalf("first line %q", line)
	}
	return &service{cmd, url}
}

func get(t *testing.T, url string) (int, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func TestSaysWhoItIs(t *testing.T) {
	before := time.Now().Add(-time.Second)
	s := start(t, "GCHOST_APP=web", "GCHOST_NODE=n1", "GCHOST_EPOCH=42")
	code, body := get(t, s.url+"/")
	var got identity
	if err := json.Unmarshal(body, &got); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s: %v", code, body, err)
	}
	if got.App != "web" || got.Node != "n1" || got.Epoch != 42 || got.PID != s.cmd.Process.Pid {
		t.Errorf("%s", body)
	}
	if got.Since.Before(before) || got.Since.After(time.Now()) {
		t.Errorf("since %s, it is %s", got.Since, time.Now())
	}
	if code, _ := get(t, s.url+"/health"); code != http.StatusOK {
		t.Errorf("/health: %d", code)
	}
	if code, _ := get(t, s.url+"/nothing"); code != http.StatusNotFound {
		t.Errorf("/nothing: %d", code)
	}
	if runtime.GOOS == "windows" {
		return // no SIGTERM there
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("exit after SIGTERM: %v", err)
	}
}

// TestStopAnswersFirst: a request under way when the stop comes is answered,
// and only then does run return; nobody is let in any more.
func TestStopAnswersFirst(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	arrived, answer := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-answer
		fmt.Fprint(w, "done")
	})
	l := listen(t)
	served := make(chan error, 1)
	go func() { served <- serve(ctx, l, slow) }()
	got := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		got <- string(body)
	}()
	<-arrived
	stop()
	select {
	case err := <-served:
		t.Fatalf("returned %v with a request under way", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(answer)
	if s := <-got; s != "done" {
		t.Errorf("answer %q", s)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := http.Get("http://" + l.Addr().String()); err == nil {
		t.Error("still listening after the stop")
	}
}

func TestRefusals(t *testing.T) {
	taken := listen(t).Addr().String()
	for _, c := range []struct {
		name, want string
		args       []string
		env        map[string]string
	}{
		{"epoch", "GCHOST_EPOCH", nil, map[string]string{"GCHOST_EPOCH": "-1"}},
		{"port taken", taken, []string{"-addr", taken}, nil},
		{"port from the environment", "127.0.0.1:http-no", nil, map[string]string{"PORT": "http-no"}},
		{"database", "open database", []string{"-addr", "127.0.0.1:0", "-db", "/nothing/here/a.db"}, nil},
		{"flag", "nonsense", []string{"-nonsense"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := run(t.Context(), c.args, func(k string) string { return c.env[k] }, io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
	if err := run(t.Context(), []string{"-h"}, func(string) string { return "" }, io.Discard); err != nil {
		t.Errorf("-h: %v", err)
	}
}

// TestReadme holds the answer that README.md shows to the one that is given.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := bytes.Cut(readme, []byte("```json\n"))
	block, _, _ = bytes.Cut(block, []byte("```"))
	var shown identity
	dec := json.NewDecoder(bytes.NewReader(block))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&shown); err != nil {
		t.Fatalf("the JSON block of README.md: %v", err)
	}
	given, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(bytes.TrimSpace(block), given) {
		t.Errorf("README.md shows\n%s\nthe service gives\n%s", block, given)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestNotes: what was left before a service ended, by whatever, is there for the
// next one.
func TestNotes(t *testing.T) {
	path := "QUICKSTART_DB=" + filepath.Join(t.TempDir(), "a b?c.db")
	s := start(t, path)
	post := func(text string) int {
		t.Helper()
		resp, err := http.Post(s.url+"/notes", "text/plain", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for text, want := range map[string]int{"remember the milk": 200, "": 400, strings.Repeat("x", maxNote+1): 400} {
		if code := post(text); code != want {
			t.Errorf("%.20q: %d, want %d", text, code, want)
		}
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Wait()
	s = start(t, path)
	var all []note
	if code, body := get(t, s.url+"/notes"); code != 200 || json.Unmarshal(body, &all) != nil || len(all) != 1 || all[0].Text != "remember the milk" {
		t.Errorf("%d %s", code, body)
	}
	var id identity
	if _, body := get(t, s.url+"/"); json.Unmarshal(body, &id) != nil || id.Starts != 2 {
		t.Errorf("%s", body)
	}
}
