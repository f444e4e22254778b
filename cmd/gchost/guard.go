package main

import cluster "github.com/ozanturksever/go-cluster"

// runGuard is the watchman: it watches the host that started this process, and
// returns the exit code.
func runGuard() int { return cluster.GuardMain() }
