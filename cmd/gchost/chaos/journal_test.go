package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// Kinds of an entry.
const (
	kindStart = "start" // the service's process has begun
	kindAct   = "act"   // it did what only a leader may do
	kindStop  = "stop"  // it has ended in order
	kindHook  = "hook"  // a hook was called; Text is its name
	kindTold  = "told"  // an event was told; Text is its name, About whom it is about
	kindLock  = "lock"  // something was done with a lock; Text says what, About is its name, Epoch the token
	kindKept  = "kept"  // something was done with a kept event; Text says what, About is its id
	kindAsked = "asked" // a library node answers a signal; Text is the answer
)

// entry is one line of the journal.
type entry struct {
	T     int64  `json:"t"` // ns of the clock that all processes of the machine share
	Node  string `json:"node"`
	App   string `json:"app"`
	Epoch uint64 `json:"epoch,omitempty"`
	PID   int    `json:"pid"` // who acts; for hooks and events the host
	Kind  string `json:"kind"`
	Text  string `json:"text,omitempty"`
	About string `json:"about,omitempty"`

	Since  int64  `json:"since,omitempty"`  // when a call began that ended at T
	Client int    `json:"client,omitempty"` // of several in one process
	Seq    uint64 `json:"seq,omitempty"`    // an event's place in its stream
	Tries  int    `json:"tries,omitempty"`  // how often the event was delivered
}

// pen writes to a journal. A line is one write to a file that is only appended
// to, so lines of several processes do not mix.
type pen struct{ file *os.File }

func openPen(path string) (pen, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return pen{f}, err
}

func (p pen) write(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = p.file.Write(append(line, '\n'))
	return err
}

// journal reads what was written so far, and only what is new each time.
type journal struct {
	file    *os.File
	rest    []byte // a line that has no end yet
	entries []entry
	bad     []string // lines that are no entries: unknown, so never dropped
}

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	return &journal{file: f}, err
}

// read returns all entries so far, in the order in which they were written.
func (j *journal) read() ([]entry, error) {
	fresh, err := io.ReadAll(j.file)
	if err != nil {
		return nil, err
	}
	text := append(j.rest, fresh...)
	for {
		line, rest, whole := bytes.Cut(text, []byte{'\n'})
		if !whole {
			j.rest = text
			return j.entries, nil
		}
		text = rest
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			j.bad = append(j.bad, fmt.Sprintf("line %q: %v", line, err))
			continue
		}
		j.entries = append(j.entries, e)
	}
}

// unread says what in the journal could not be understood.
func (j *journal) unread() []string {
	if len(j.rest) > 0 {
		return append(j.bad, fmt.Sprintf("line without an end %q", j.rest))
	}
	return j.bad
}
