package rpc

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// A note is the short form of a question, as one token of the subject for the
// answer: wait,epoch,id,node,app,method. It saves the headers, which cost more to
// write and to read than all the rest of a call. wait is in ms; epoch is empty
// for a call that is not to the leader; a dot in the method is written as ~. What
// a note cannot say is said by headers: see [Question.plain].
const (
	noteFields = 6
	noteSep    = ","
	noteDot    = "~"
)

// plain reports whether a note can say all of a question.
func (q *Question) plain() bool {
	return !q.Once && !q.Where && q.Meta == nil && q.Cancel == ""
}

// note returns the short form of a plain question.
func (q *Question) note() string {
	b := make([]byte, 0, 192)
	b = strconv.AppendInt(b, max(1, q.Wait.Milliseconds()), 10)
	b = append(b, noteSep...)
	if q.ToLeader {
		b = strconv.AppendUint(b, uint64(q.Epoch), 10)
	}
	for _, field := range []string{q.ID, q.Node, q.App} {
		b = append(b, noteSep...)
		b = append(b, dotless(field)...)
	}
	b = append(b, noteSep...)
	return string(append(b, dotless(q.Method)...))
}

func dotless(s string) string { return strings.ReplaceAll(s, ".", noteDot) }
func dotted(s string) string  { return strings.ReplaceAll(s, noteDot, ".") }

// readNote reads the short form of a question and refuses what cannot be one.
func readNote(note string) (q Question, err error) {
	var f [noteFields]string
	rest, more := note, true
	for i := range f {
		if !more {
			return q, fmt.Errorf("%w: a note of %d fields: it has %d", pluginapi.ErrInvalid, i, noteFields)
		}
		f[i], rest, more = strings.Cut(rest, noteSep)
	}
	if more {
		return q, fmt.Errorf("%w: a note of more than %d fields", pluginapi.ErrInvalid, noteFields)
	}
	q = Question{ID: dotted(f[2]), Node: f[3], App: f[4], Method: dotted(f[5]), ToLeader: f[1] != ""}
	wait, err := noteNumber("wait", f[0], math.MaxInt64)
	if err != nil {
		return q, err
	}
	q.Wait = time.Duration(min(max(wait, 1), uint64(maxWait.Milliseconds()))) * time.Millisecond
	if q.ToLeader {
		epoch, err := noteNumber("epoch", f[1], maxEpoch)
		if err != nil {
			return q, err
		}
		q.Epoch = pluginapi.Epoch(epoch)
	}
	return q, q.checkNames()
}

func noteNumber(name, s string, most uint64) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > most {
		return 0, fmt.Errorf("%w: %s in a note: %.30q is not a number from 0 to %d", pluginapi.ErrInvalid, name, s, most)
	}
	return n, nil
}

// checkNames checks the words of a note; all but the method may be missing.
func (q *Question) checkNames() error {
	if q.ID != "" {
		if err := CheckID(q.ID); err != nil {
			return err
		}
	}
	if q.Node != "" || q.App != "" {
		if err := pluginapi.CheckName("node", q.Node); err != nil {
			return err
		}
	}
	if q.App != "" {
		if err := pluginapi.CheckName("app", q.App); err != nil {
			return err
		}
	}
	return CheckMethod(q.Method)
}
