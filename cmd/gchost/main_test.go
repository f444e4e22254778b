package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "guard" { // a host of a test has started it
		os.Exit(runGuard())
	}
	flag.Bool("update", false, "rewrite golden files")
	testscript.Main(m, map[string]func(){"gchost": main})
}

// The whole program, as a person runs it. testdata/script has a page for each
// thing that the program is asked for.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: update(),
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir+"/home")
			return os.MkdirAll(e.WorkDir+"/home", 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "eventually": eventually, "set": set},
	})
}

// exits runs gchost and wants an exit code: exits 2 config check.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code args...")
	}
	err := ts.Exec("gchost", args[1:]...)
	if got := exitCodeOf(err); got != args[0] {
		ts.Fatalf("gchost %q: exit %s, want %s", args[1:], got, args[0])
	}
}

// eventually runs gchost until it exits with 0.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: eventually args...")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for ts.Exec("gchost", args...) != nil {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			ts.Fatalf("gchost %q never succeeds", args)
		}
	}
}

// set copies a file with the variables of the script in place: set to from.
func set(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: set to from")
	}
	text := os.Expand(ts.ReadFile(args[1]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

func exitCodeOf(err error) string {
	var e *exec.ExitError
	switch {
	case err == nil:
		return "0"
	case errors.As(err, &e):
		return strconv.Itoa(e.ExitCode())
	}
	return err.Error()
}
