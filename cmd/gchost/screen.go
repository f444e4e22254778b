package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// screen collects what a person reads. What comes from the platform is shown
// clean: a label cannot move the cursor of who looks at it.
type screen struct{ b strings.Builder }

// linef writes a line. Its arguments are cleaned.
func (s *screen) linef(format string, args ...any) {
	fmt.Fprintln(&s.b, strings.TrimRight(cell(fmt.Sprintf(format, args...)), " "))
}

// table writes aligned columns below a header.
func (s *screen) table(header string, rows [][]string) {
	var t strings.Builder
	w := tabwriter.NewWriter(&t, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(strings.Split(header, ","), "\t"))
	for _, r := range rows {
		for i := range r {
			if r[i] = cell(r[i]); r[i] == "" {
				r[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	w.Flush()
	for line := range strings.Lines(t.String()) {
		fmt.Fprintln(&s.b, strings.TrimRight(line, " \n"))
	}
}

// showList writes a table, or a word in place of an empty one.
func showList(s *screen, none, header string, rows [][]string) {
	if len(rows) == 0 {
		s.linef("%s", none)
		return
	}
	s.table(header, rows)
}

// pairs writes aligned names and values.
func (s *screen) pairs(rows [][2]string) {
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	for _, r := range rows {
		if r[1] != "" {
			s.linef("%-*s  %s", width, r[0], r[1])
		}
	}
}

// gap writes an empty line between what is written already and what comes.
func (s *screen) gap() {
	if s.b.Len() > 0 {
		s.b.WriteByte('\n')
	}
}

func (s *screen) flush(w io.Writer) error {
	_, err := io.WriteString(w, s.b.String())
	return err
}

// clean replaces what does not print, newlines aside.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' {
			return r
		}
		return '?'
	}, s)
}

// cell is clean for a text that must stay in its line.
func cell(s string) string { return strings.ReplaceAll(clean(s), "\n", "?") }

// ago writes an age in milliseconds.
func ago(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return short(d.Round(time.Second)) + " ago"
	case d < time.Hour:
		return short(d.Round(time.Minute)) + " ago"
	}
	return short(d.Round(time.Hour)) + " ago"
}

// span writes a duration in milliseconds, rounded for a person.
func span(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case ms == 0:
		return ""
	case d < time.Minute:
		return short(d.Round(100 * time.Millisecond))
	case d < time.Hour:
		return short(d.Round(time.Second))
	}
	return short(d.Round(time.Minute))
}

// when writes a point in time.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
