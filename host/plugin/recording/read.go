package recording

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// What a recording may have at most.
const (
	maxLine       = 64 << 20 // bytes
	maxCandidates = 100_000
	maxApps       = 10_000 // of one line
	maxLabels     = 256
)

// Read reads a recording and hands each question to fn, with its table. It stops
// at the first error.
//
// # Errors
//
// ErrInvalid, with the line, for what is no recording; that of r; that of fn.
func Read(r io.Reader, fn func(Question) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 64<<10), maxLine)
	var table *pluginapi.Table
	for n := 1; sc.Scan(); n++ {
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		q, err := parse(sc.Bytes())
		if err == nil && q.Table == nil && table == nil {
			err = errors.New("the first line has no table")
		}
		if err != nil {
			return fmt.Errorf("read recording: %w: line %d: %w", pluginapi.ErrInvalid, n, err)
		}
		if q.Table != nil {
			table = q.Table
		}
		q.Table = table
		if err := fn(q); err != nil {
			return err
		}
	}
	if errors.Is(sc.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("read recording: %w: a line has more than %d bytes", pluginapi.ErrInvalid, maxLine)
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("read recording: %w", err)
	}
	return nil
}

func parse(line []byte) (q Question, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return q, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return q, errors.New("there is something behind the document")
	}
	if len(q.Apps) > maxApps {
		return q, fmt.Errorf("%d apps: %d are allowed", len(q.Apps), maxApps)
	}
	for _, a := range q.Apps {
		if err := errors.Join(pluginapi.CheckName("app", a.Name), checkLabels(a.Requires), checkLabels(a.Prefers), checkLabels(a.Avoids)); err != nil {
			return q, err
		}
	}
	if q.Table == nil {
		return q, nil
	}
	return q, checkTable(q.Table)
}

// checkTable is strict where a policy may rely on it: the nodes are sorted, each
// is there once, and so are the labels of each.
func checkTable(t *pluginapi.Table) error {
	if len(t.Candidates) > maxCandidates {
		return fmt.Errorf("%d candidates: %d are allowed", len(t.Candidates), maxCandidates)
	}
	for i := range t.Candidates {
		c := &t.Candidates[i]
		if err := errors.Join(pluginapi.CheckName("node", c.Node), checkLabels(c.Labels)); err != nil {
			return err
		}
		if i > 0 && t.Candidates[i-1].Node >= c.Node {
			return fmt.Errorf("node %s does not come after %s: nodes are sorted, each once", c.Node, t.Candidates[i-1].Node)
		}
		for k := 1; k < len(c.Labels); k++ {
			if c.Labels[k-1].Key >= c.Labels[k].Key {
				return fmt.Errorf("node %s: label %.80q does not come after %.80q: labels are sorted, each once", c.Node, c.Labels[k].Key, c.Labels[k-1].Key)
			}
		}
	}
	return nil
}

func checkLabels(all []pluginapi.Label) error {
	if len(all) > maxLabels {
		return fmt.Errorf("%d labels: %d are allowed", len(all), maxLabels)
	}
	return nil
}
