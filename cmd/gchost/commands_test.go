package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// Every command, in words and as JSON, against a platform that is well or not.
func TestCommands(t *testing.T) {
	const file = "testdata/commands.txtar"
	a, scenes := readScenes(t, file)
	for name, s := range sorted(scenes) {
		t.Run(name, func(t *testing.T) {
			kind, _, _ := strings.Cut(name, ": ")
			r := execute(t.Context(), platformOf(kind), words(s["args"])...)
			if strings.Contains(s["args"], "--json") && !json.Valid([]byte(r.stdout)) {
				t.Errorf("stdout is not one JSON document: %s", r.stdout)
			}
			if r.exit != exitOK && r.exit != exitUnhealthy && r.stderr == "" {
				t.Error("an error that says nothing")
			}
			if got := r.String(); got != s["want"] && !update() {
				t.Errorf("got\n%s\nwant\n%s", got, s["want"])
			}
			s["want"] = r.String()
		})
	}
	if update() {
		rewrite(t, file, a, scenes)
	}
}
