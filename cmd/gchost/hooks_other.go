//go:build !unix

package main

import "os/exec"

// killGroup does nothing here: there are no process groups.
func killGroup(*exec.Cmd) {}
