package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	_ "modernc.org/sqlite" // any SQLite in WAL mode will do
)

// maxNote bounds a note in bytes.
const maxNote = 4 << 10

// store is the service's data: an ordinary SQLite database. Nothing here knows
// that it is copied to other machines.
type store struct {
	db     *sql.DB
	starts int // times that a service was started on this data, this one included
}

// openStore opens the database, or makes it, and notes the start.
func openStore(path string, self identity) (s *store, err error) {
	file := url.URL{Scheme: "file", Path: path, RawQuery: "_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)"}
	db, err := sql.Open("sqlite", file.String())
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	s = &store{db: db}
	if err := s.begin(self); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), db.Close())
	}
	return s, nil
}

func (s *store) begin(self identity) error {
	for _, table := range []string{"starts(n INTEGER PRIMARY KEY, node TEXT, epoch INTEGER, at TEXT)", "notes(n INTEGER PRIMARY KEY, at TEXT, text TEXT)"} {
		if _, err := s.db.Exec("CREATE TABLE IF NOT EXISTS " + table); err != nil {
			return err
		}
	}
	_, err := s.db.Exec("INSERT INTO starts(node, epoch, at) VALUES(?, ?, ?)", self.Node, self.Epoch, self.Since.Format(time.RFC3339Nano))
	if err != nil {
		return err
	}
	return s.db.QueryRow("SELECT count(*) FROM starts").Scan(&s.starts)
}

// note is a line that somebody has left.
type note struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

func (s *store) add(ctx context.Context, text string) (note, error) {
	n := note{time.Now().UTC().Truncate(time.Millisecond), text}
	_, err := s.db.ExecContext(ctx, "INSERT INTO notes(at, text) VALUES(?, ?)", n.At.Format(time.RFC3339Nano), n.Text)
	return n, err
}

func (s *store) notes(ctx context.Context) (all []note, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT at, text FROM notes ORDER BY n DESC LIMIT 100")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all = []note{}
	for rows.Next() {
		var n note
		var at string
		if err := rows.Scan(&at, &n.Text); err != nil {
			return nil, err
		}
		if n.At, err = time.Parse(time.RFC3339Nano, at); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, rows.Err()
}

// serve adds the notes to a service.
func (s *store) serve(mux *http.ServeMux) {
	mux.HandleFunc("GET /notes", func(w http.ResponseWriter, r *http.Request) {
		all, err := s.notes(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		reply(w, all)
	})
	mux.HandleFunc("POST /notes", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNote))
		if err != nil || strings.TrimSpace(string(text)) == "" {
			http.Error(w, fmt.Sprintf("a note has 1 to %d bytes of text", maxNote), http.StatusBadRequest)
			return
		}
		n, err := s.add(r.Context(), strings.TrimSpace(string(text)))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		reply(w, n)
	})
}
