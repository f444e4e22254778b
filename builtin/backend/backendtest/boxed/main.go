//go:build linux

// Command boxed is the service of the tests with containers and units: it does
// what files in a folder tell it to.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	dir := os.Args[1]
	is := func(name string) bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil }
	if len(os.Args) > 2 { // a health check
		if is("sick") {
			fmt.Println("I feel sick")
			os.Exit(1)
		}
		return
	}
	if is("refuse") {
		fmt.Fprintln(os.Stderr, "cannot open the shop")
		os.Exit(3)
	}
	if is("children") {
		c := exec.Command(os.Args[0], dir+"/none")
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := c.Start(); err != nil {
			panic(err)
		}
	}
	if strings.HasSuffix(dir, "/none") {
		signal.Ignore(syscall.SIGTERM)
	}
	terms := make(chan os.Signal, 1)
	signal.Notify(terms, syscall.SIGTERM)
	if err := os.WriteFile(filepath.Join(dir, "env"), []byte(strings.Join(os.Environ(), "\n")), 0o644); err == nil {
		fmt.Println("open")
	}
	for range time.Tick(10 * time.Millisecond) {
		select {
		case <-terms:
			if !is("stubborn") && !strings.HasSuffix(dir, "/none") {
				return
			}
		default:
		}
		if is("crash") {
			os.Remove(filepath.Join(dir, "crash"))
			fmt.Fprintln(os.Stderr, "the roof fell in")
			os.Exit(7)
		}
	}
}
