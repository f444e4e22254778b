package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// said collects what nodes print.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// sold lists the numbers of the tickets that were bought, sorted.
func (s *said) sold(t *testing.T) (numbers []int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range regexp.MustCompile(`bought ticket (\d+)\n`).FindAllStringSubmatch(s.text.String(), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers
}

func upTo(n int) (numbers []int) {
	for i := range n {
		numbers = append(numbers, i+1)
	}
	return numbers
}

// TestAlone: it buys from itself, counts on where it ended before, and ends.
func TestAlone(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out said
	dir := t.TempDir()
	for range 2 {
		if err := run(ctx, "node-1", "", dir, 3, &out); err != nil {
			t.Fatal(err)
		}
	}
	if got := out.sold(t); !slices.Equal(got, upTo(6)) {
		t.Errorf("sold %v, it said\n%s", got, out.text.String())
	}
}

// TestThree: three nodes sell to two of them at the same time, and no ticket is
// sold twice or left out.
func TestThree(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const each = 10
	var out said
	shop, closeShop := context.WithCancel(ctx)
	var seller, buyers sync.WaitGroup
	seller.Go(func() {
		if err := run(shop, "seller", s.ClientURL(), t.TempDir(), 0, &out); err != nil {
			t.Error(err)
		}
	})
	for _, node := range []string{"ann", "bob"} {
		buyers.Go(func() {
			if err := run(ctx, node, s.ClientURL(), t.TempDir(), each, &out); err != nil {
				t.Errorf("%s: %v", node, err)
			}
		})
	}
	buyers.Wait()
	closeShop()
	seller.Wait()
	if got := out.sold(t); !slices.Equal(got, upTo(2*each)) {
		t.Errorf("sold %v, it said\n%s", got, out.text.String())
	}
}

// TestReadme: the lines that README.md shows are those that the program says.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		for _, line := range []string{"node-1 bought ticket %[1]d\n", "node-1 hears: ticket %[1]d to node-1\n"} {
			if want := fmt.Sprintf(line, n+1); !strings.Contains(string(text), want) {
				t.Errorf("README.md does not show %q", want)
			}
		}
	}
}
