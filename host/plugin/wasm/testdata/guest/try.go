//go:build wasip1

package main

import (
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"
)

func cut(app string) (string, bool) { return strings.CutPrefix(app, "try ") }

// try does what a guest may not, or what it may, and says what came of it.
func try(what string) string {
	switch what {
	case "args":
		return fmt.Sprint(len(os.Args), len(os.Environ()))
	case "read a file":
		_, err := os.ReadFile("/etc/passwd")
		return fmt.Sprint(err)
	case "write a file":
		return fmt.Sprint(os.WriteFile("/tmp/x", []byte("x"), 0o600))
	case "list a folder":
		_, err := os.ReadDir("/")
		return fmt.Sprint(err)
	case "stdin":
		n, err := os.Stdin.Read(make([]byte, 10))
		return fmt.Sprint(n, err)
	case "time":
		return fmt.Sprint(time.Now().UnixNano())
	case "random":
		b := make([]byte, 8)
		crand.Read(b)
		return fmt.Sprintf("%x", b)
	case "seed":
		return fmt.Sprint(rand.Uint64())
	case "sleep":
		began := time.Now()
		time.Sleep(30 * time.Millisecond)
		return fmt.Sprint(time.Since(began) >= 30*time.Millisecond)
	case "goroutines":
		c := make(chan int)
		go func() { time.Sleep(time.Millisecond); c <- 1 }()
		return fmt.Sprint(<-c)
	case "deadlock":
		<-make(chan int)
	case "print":
		fmt.Println("to stdout")
		fmt.Fprint(os.Stderr, "to stderr, ")
		fmt.Fprintln(os.Stderr, "in two pieces")
		fmt.Print("without an end")
	case "panic":
		panic("the guest has a bad day")
	case "exit":
		fmt.Fprintln(os.Stderr, "I have enough")
		os.Exit(3)
	case "spin":
		for n := 0; ; n++ {
			rand.Uint64()
		}
	case "allocate":
		var all [][]byte
		for {
			all = append(all, make([]byte, 1<<20))
			all[len(all)-1][0] = byte(len(all))
		}
	case "recurse":
		return fmt.Sprint(recurse(1))
	case "garbage":
		for range 200 {
			_ = append([]byte(nil), make([]byte, 100<<10)...)
		}
	}
	return "done"
}

func recurse(n int) int { return recurse(n+1) + n }
