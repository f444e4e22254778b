// Command quickstart is a small HTTP service that says who it is and keeps notes
// in SQLite: an ordinary program that knows nothing of clusters. gchost starts it on the leader's
// machine and tells it by the environment for whom it runs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// stopBudget is how long requests that run may take to end after SIGTERM.
const stopBudget = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run serves until its context ends and the requests under way are answered.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(out)
	addr := flags.String("addr", defaultAddr(getenv), "host:port to listen on; port 0 picks a free one")
	path := flags.String("db", getenv("QUICKSTART_DB"), "SQLite database to keep notes in (default: none is kept)")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	self, err := newIdentity(getenv)
	if err != nil {
		return err
	}
	var data *store
	if *path != "" {
		if data, err = openStore(*path, self); err != nil {
			return err
		}
		defer data.db.Close()
		self.Starts = data.starts
	}
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return fmt.Errorf("listen on -addr %s: %w", *addr, err)
	}
	fmt.Fprintf(out, "quickstart: listening on http://%s\n", l.Addr())
	return serve(ctx, l, handler(self, data))
}

func defaultAddr(getenv func(string) string) string {
	if port := getenv("PORT"); port != "" {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return "127.0.0.1:8080"
}

// identity is the answer of GET /. Without gchost the first three are absent.
type identity struct {
	App   string    `json:"app,omitempty"`
	Node  string    `json:"node,omitempty"`
	Epoch uint64    `json:"epoch,omitempty"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
	// Starts counts the times that the service was started on its data, anywhere.
	Starts int `json:"starts,omitempty"`
}

func newIdentity(getenv func(string) string) (identity, error) {
	id := identity{
		App:   getenv("GCHOST_APP"),
		Node:  getenv("GCHOST_NODE"),
		PID:   os.Getpid(),
		Since: time.Now().UTC().Truncate(time.Millisecond),
	}
	if s := getenv("GCHOST_EPOCH"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return identity{}, fmt.Errorf("read GCHOST_EPOCH %.40q: give a number without a sign", s)
		}
		id.Epoch = n
	}
	return id, nil
}

func handler(self identity, data *store) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { reply(w, self) })
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]string{"status": "ok"}) })
	if data != nil {
		data.serve(mux)
	}
	return mux
}

// reply writes v as JSON. A client that has gone is its own affair.
func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	budget, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopBudget)
	defer cancel()
	err := srv.Shutdown(budget)
	if err != nil {
		err = errors.Join(fmt.Errorf("stop serving within %s: %w", stopBudget, err), srv.Close())
	}
	<-ended
	return err
}
