package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// The watchman comes first: nothing heavy has started yet, and signals are
	// its own business.
	if len(os.Args) > 1 && os.Args[1] == "guard" {
		os.Exit(runGuard())
	}
	os.Exit(runCommand())
}

// runCommand runs a command line. The first signal ends its context; the second
// ends the process, as if nobody listened.
func runCommand() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)
	machine := thisMachine()
	p := &program{
		stdout:  os.Stdout,
		stderr:  os.Stderr,
		environ: os.Environ(),
		machine: machine,
		search:  searchPath(machine),
		dial:    connect,
		runners: runners(),
	}
	return p.run(ctx, os.Args[1:])
}

// runners lists the commands that run until they are stopped.
func runners() []runner {
	return []runner{{
		use:   "run",
		short: "Run a host with the apps of the configuration",
		long: "Run joins the platform, takes part in the elections of its apps, and runs until it gets\n" +
			"SIGINT, SIGTERM or SIGHUP: then it stops its work, hands its leaderships over, and\n" +
			"leaves. A second signal ends it at once; its guard then cleans up.",
		start: runHost,
	}, {
		use:   "witness",
		short: "Run a voting server without apps",
		long: "Witness runs a server that votes and leads no app: two hosts and a witness fail over by\n" +
			"themselves, two hosts alone do not.",
		noApps: true,
		start:  runWitness,
	}}
}
