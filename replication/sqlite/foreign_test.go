package sqlite_test

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// foreign is a program of another language with a connection of its own, which
// does what it is told.
type foreign struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func newForeign(t testing.TB, path string) *foreign {
	t.Helper()
	needs(t, "python3")
	f := &foreign{t: t, cmd: exec.Command("python3", filepath.Join("testdata", "foreign.py"), path)}
	var err error
	if f.in, err = f.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.kill)
	f.out = bufio.NewScanner(out)
	f.out.Buffer(nil, 1<<20)
	if !f.out.Scan() {
		t.Fatal("foreign program has not started")
	}
	return f
}

// kill is SIGKILL.
func (f *foreign) kill() {
	_ = f.cmd.Process.Kill()
	_ = f.cmd.Wait()
}

// try does a statement, and says what came back and how long it took.
func (f *foreign) try(sql string) (string, time.Duration) {
	f.t.Helper()
	if _, err := io.WriteString(f.in, sql+"\n"); err != nil {
		f.t.Fatal(err)
	}
	if !f.out.Scan() {
		f.t.Fatalf("foreign program is gone after %q", sql)
	}
	ms, answer, _ := strings.Cut(f.out.Text(), " ")
	n, err := strconv.Atoi(ms)
	if err != nil {
		f.t.Fatal(f.out.Text())
	}
	return answer, time.Duration(n) * time.Millisecond
}

// do does statements that must succeed, and returns the answer of the last.
func (f *foreign) do(sql ...string) (answer string) {
	f.t.Helper()
	for _, q := range sql {
		if answer, _ = f.try(q); strings.HasPrefix(answer, "ERROR") {
			f.t.Fatalf("%.200s: %s", q, answer)
		}
	}
	return answer
}
