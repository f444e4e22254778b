package rpc

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Headers of a question.
const (
	headMethod = "Gc-Method"
	headID     = "Gc-Id"
	headFrom   = "Gc-From"   // who calls, by its own word: node, or node/app
	headTime   = "Gc-Time"   // for how many ms the caller waits
	headLeader = "Gc-Leader" // only the leader may answer, in this epoch; 0: in any
	headOnce   = "Gc-Once"   // it may be sent again; ms since it was first sent
	headCancel = "Gc-Cancel" // the id of a call whose caller waits no more
	headMeta   = "Gc-Meta-"  // what the caller's program adds
	headWhere  = "Gc-Where"  // the caller wants to know at once who takes the call
)

// HeadTaken is the header of an early word: the node that has begun to handle the
// call. The answer follows.
const HeadTaken = "Gc-Taken"

// Headers of an answer that is an error; its text is the body.
const (
	headError = "Gc-Error" // the error's name, or "-"
	headNode  = "Gc-Node"  // who has answered
	headState = "Gc-State" // what became of the handler; absent: it has returned
)

// States of a handler in an answer that is an error.
const (
	stateRefused = "refused" // it was not begun: nothing was done
	stateRunning = "running" // it did not end in time, or nobody knows
)

const noName = "-" // of an error

// Limits of what comes in, and of what is sent.
const (
	MaxMethod    = 128     // bytes of a method's name
	MaxID        = 64      // bytes of a request id
	MaxMeta      = 4 << 10 // bytes of all metadata, names included
	MaxMetaKeys  = 16
	HeaderRoom   = 8 << 10 // of the largest message, kept free for headers
	maxErrorText = 4 << 10
	maxErrorName = 128
	maxWait      = time.Hour
	maxEpoch     = 1 << 62
)

// DefaultWait bounds a call whose context, or message, has no deadline.
const DefaultWait = 30 * time.Second

// Question is one attempt of a call, as it travels.
type Question struct {
	Method   string
	ID       string // "": it can neither be cancelled nor repeated
	App      string // who calls
	Node     string
	Wait     time.Duration // 0: DefaultWait
	ToLeader bool
	Epoch    pluginapi.Epoch // with ToLeader; 0: any
	Once     bool            // it may be sent again under the same id
	Age      time.Duration   // with Once: since it was first sent; 0: this is the first
	Meta     map[string]string
	Where    bool   // an early word is wanted from the node that takes it
	Cancel   string // nothing else is set then but Node
}

// header returns the headers of a question.
func (q Question) header() Header {
	h := make(Header, 6)
	values := make([]string, 0, 6) // one allocation for what every call has
	set := func(name, value string) {
		if value != "" {
			values = append(values, value)
			h[name] = values[len(values)-1:]
		}
	}
	from := q.Node
	if q.App != "" {
		from += "/" + q.App
	}
	set(headFrom, from)
	if q.Cancel != "" {
		set(headCancel, q.Cancel)
		return h
	}
	set(headMethod, q.Method)
	set(headID, q.ID)
	if q.Wait > 0 {
		set(headTime, millis(q.Wait))
	}
	if q.ToLeader {
		set(headLeader, strconv.FormatUint(uint64(q.Epoch), 10))
	}
	if q.Once {
		set(headOnce, strconv.FormatInt(q.Age.Milliseconds(), 10))
	}
	if q.Where {
		set(headWhere, "1")
	}
	for k, v := range q.Meta {
		set(headMeta+k, v)
	}
	return h
}

// millis is a span in whole milliseconds, at least one.
func millis(d time.Duration) string { return strconv.FormatInt(max(1, d.Milliseconds()), 10) }

// readQuestion reads the headers of a question and refuses what cannot be one.
func readQuestion(h Header) (q Question, err error) {
	r := reader{h: h}
	q.Node, q.App = r.from()
	if q.Cancel = r.word(headCancel, CheckID); q.Cancel != "" || r.err != nil {
		return q, r.err
	}
	q.Method = r.word(headMethod, CheckMethod)
	q.ID = r.word(headID, CheckID)
	if ms, ok := r.number(headTime, math.MaxInt64); ok {
		q.Wait = time.Duration(min(max(ms, 1), uint64(maxWait.Milliseconds()))) * time.Millisecond
	}
	var epoch, age uint64
	epoch, q.ToLeader = r.number(headLeader, maxEpoch)
	age, q.Once = r.number(headOnce, uint64(maxWait.Milliseconds()))
	_, q.Where = r.number(headWhere, 1)
	q.Epoch, q.Age = pluginapi.Epoch(epoch), time.Duration(age)*time.Millisecond
	q.Meta = r.meta()
	switch {
	case r.err != nil:
	case q.Method == "":
		r.err = fmt.Errorf("%w: header %s is missing: it names the method", pluginapi.ErrInvalid, headMethod)
	case q.Once && q.ID == "":
		r.err = fmt.Errorf("%w: header %s without %s: a call that may be repeated needs an id", pluginapi.ErrInvalid, headOnce, headID)
	}
	return q, r.err
}

// reader takes headers out of a message; the first fault is kept.
type reader struct {
	h   Header
	err error
}

func (r *reader) fault(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{pluginapi.ErrInvalid}, args...)...)
	}
}

func (r *reader) word(name string, check func(string) error) string {
	v, ok := r.h[name]
	if !ok {
		return ""
	}
	if len(v) != 1 {
		r.fault("header %s is given %d times", name, len(v))
		return ""
	}
	if err := check(v[0]); err != nil && r.err == nil {
		r.err = fmt.Errorf("header %s: %w", name, err)
	}
	return v[0]
}

func (r *reader) name(name, kind string) string {
	return r.word(name, func(s string) error { return pluginapi.CheckName(kind, s) })
}

func (r *reader) from() (node, app string) {
	r.word(headFrom, func(s string) error {
		var both bool
		if node, app, both = strings.Cut(s, "/"); both {
			if err := pluginapi.CheckName("app", app); err != nil {
				return err
			}
		}
		return pluginapi.CheckName("node", node)
	})
	return node, app
}

func (r *reader) number(name string, most uint64) (n uint64, ok bool) {
	s := r.word(name, func(s string) (err error) {
		if n, err = strconv.ParseUint(s, 10, 64); err != nil || n > most {
			return fmt.Errorf("%w: %.30q is not a number from 0 to %d", pluginapi.ErrInvalid, s, most)
		}
		return nil
	})
	return n, s != ""
}

func (r *reader) meta() (m map[string]string) {
	for name := range r.h {
		if key, ok := strings.CutPrefix(name, headMeta); ok {
			if m == nil {
				m = map[string]string{}
			}
			m[key] = r.word(name, func(string) error { return nil })
		}
	}
	if err := CheckMeta(m); err != nil && r.err == nil {
		r.err = err
	}
	return m
}

// CheckMethod says whether a method may have this name: 1 to 128 of A-Z a-z 0-9
// and . _ - / :
//
// # Errors
//
// One that wraps ErrInvalid.
func CheckMethod(name string) error { return checkWord("method", name, MaxMethod, "._-/:") }

// CheckID says whether this may be a request id: 1 to 64 of A-Z a-z 0-9 and
// . _ -
//
// # Errors
//
// One that wraps ErrInvalid.
func CheckID(id string) error { return checkWord("request id", id, MaxID, "._-") }

// CheckMeta says whether these may be the metadata of a call: at most 16 names,
// each of A-Z a-z 0-9 and . _ -, values of printable ASCII, 4 KiB in all.
//
// # Errors
//
// One that wraps ErrInvalid or ErrTooLarge.
func CheckMeta(m map[string]string) error {
	if len(m) > MaxMetaKeys {
		return fmt.Errorf("%w: %d names of metadata: at most %d are allowed", pluginapi.ErrTooLarge, len(m), MaxMetaKeys)
	}
	size := 0
	for k, v := range m {
		if err := checkWord("metadata", k, MaxID, "._-"); err != nil {
			return err
		}
		if v == "" || v != strings.TrimSpace(v) || !printable(v) {
			return fmt.Errorf("%w: metadata %s is %.30q: allowed is printable ASCII that neither is empty nor begins or ends with a blank", pluginapi.ErrInvalid, k, v)
		}
		size += len(k) + len(v)
	}
	if size > MaxMeta {
		return fmt.Errorf("%w: metadata of %d bytes: at most %d are allowed", pluginapi.ErrTooLarge, size, MaxMeta)
	}
	return nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func checkWord(kind, s string, most int, also string) error {
	if s == "" {
		return fmt.Errorf("%w: %s is empty", pluginapi.ErrInvalid, kind)
	}
	if len(s) > most {
		return fmt.Errorf("%w: %s %.20q... has %d bytes: the longest allowed is %d", pluginapi.ErrInvalid, kind, s, len(s), most)
	}
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(also, c) >= 0 {
			continue
		}
		return fmt.Errorf("%w: %s %q has %q at byte %d: allowed are A-Z a-z 0-9 and %s", pluginapi.ErrInvalid, kind, s, c, i, also)
	}
	return nil
}
