package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/host/plugin/manifest"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// The exit codes, as docs/cli.md and the help have them.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitNotFound    = 4
	exitRefused     = 5
	exitUnhealthy   = 6
	exitInternal    = 70
)

const exitHelp = `Exit codes:
  0   done
  1   failed
  2   wrong usage or bad configuration
  3   the platform cannot be reached
  4   no such app or node
  5   refused: no standby, not the leader, node already present, not allowed
  6   unhealthy (status and health)
  70  a defect of gchost`

// usageError is a mistake in the command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// errUnhealthy ends a command that has said already what is wrong.
const errUnhealthy pluginapi.Error = "unhealthy"

// exitOf returns the exit code of an error.
func exitOf(err error) int {
	var (
		usage  usageError
		faults Faults
	)
	is := func(sentinels ...error) bool {
		for _, s := range sentinels {
			if errors.Is(err, s) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage), errors.As(err, &faults), is(errBadConfig):
		return exitUsage
	case is(errUnhealthy):
		return exitUnhealthy
	case is(control.ErrUnreachable):
		return exitUnreachable
	case is(pluginapi.ErrAppNotFound, pluginapi.ErrNodeNotFound, pluginapi.ErrPluginNotFound):
		return exitNotFound
	case is(pluginapi.ErrNoStandby, pluginapi.ErrNotLeader, pluginapi.ErrNoLeader, pluginapi.ErrNodeAlreadyPresent, pluginapi.ErrShuttingDown, pluginapi.ErrUnauthorized,
		pluginapi.ErrNotGranted, pluginapi.ErrPluginDisabled, pluginapi.ErrKeyExists, pluginapi.ErrConflict, pluginapi.ErrBusy):
		return exitRefused
	case is(pluginapi.ErrInvalid):
		return exitUsage
	}
	return exitFailure
}

// errBadConfig marks a configuration that could not be read at all.
const errBadConfig pluginapi.Error = "bad configuration"

// failure is how an error is shown with --json.
type failure struct {
	Code    string      `json:"code"`
	Exit    int         `json:"exit"`
	Message string      `json:"message"`
	Faults  []faultJSON `json:"faults,omitempty"`
}

type faultJSON struct {
	Where string `json:"where,omitempty"`
	Key   string `json:"key,omitempty"`
	Text  string `json:"text"`
}

// report says what went wrong: in words to stderr and, if asked for JSON, as a
// document to stdout, where a script looks for it. A command that found the
// platform unhealthy, or a plugin wanting, has written its document already.
func report(err error, asJSON bool, stdout, stderr io.Writer) int {
	exit := exitOf(err)
	if exit == exitOK || exit == exitUnhealthy || errors.Is(err, errFoundWanting) {
		return exit
	}
	f := failure{Code: codeOf(err, exit), Exit: exit, Message: err.Error()}
	var faults Faults
	var mistakes manifest.Faults
	switch {
	case errors.As(err, &faults):
		fmt.Fprintf(stderr, "gchost: bad configuration\n  %s\n", strings.ReplaceAll(clean(faults.Error()), "\n", "\n  "))
		for _, x := range faults {
			f.Faults = append(f.Faults, faultJSON{x.Where, x.Key, x.Text})
		}
	case errors.As(err, &mistakes):
		fmt.Fprintf(stderr, "gchost: bad plugin\n  %s\n", strings.ReplaceAll(clean(mistakes.Error()), "\n", "\n  "))
		for _, x := range mistakes {
			f.Faults = append(f.Faults, faultJSON{x.Where(), x.Key, x.Text})
		}
	default:
		fmt.Fprintf(stderr, "gchost: %s\n", strings.TrimPrefix(clean(err.Error()), "gchost: "))
	}
	if asJSON {
		writeJSON(stdout, map[string]failure{"error": f})
	}
	return exit
}

func codeOf(err error, exit int) string {
	switch {
	case exit == exitUsage && !errors.Is(err, pluginapi.ErrInvalid):
		var usage usageError
		if errors.As(err, &usage) {
			return "usage"
		}
		return errBadConfig.Error()
	case exit == exitInternal:
		return control.CodeInternal
	}
	return control.Code(err)
}

// writeJSON writes one document, indented, with a newline behind it.
func writeJSON(w io.Writer, doc any) error {
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("encode document: %w", err)
	}
	_, err = w.Write(append(text, '\n'))
	return err
}
