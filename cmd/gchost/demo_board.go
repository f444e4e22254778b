package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// board shows lines that stay, and below them a table that is drawn anew. On
// anything but a terminal it draws the table only when it has changed.
type board struct {
	out   io.Writer
	quiet bool
	live  bool // the output is a terminal
	rows  [][]string
	drawn int // lines of the table on the screen
}

func newBoard(out io.Writer, quiet bool) *board {
	b := &board{out: out, quiet: quiet}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		b.live = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return b
}

// say writes a line that stays.
func (b *board) say(format string, args ...any) {
	if b.quiet {
		return
	}
	b.erase()
	fmt.Fprintf(b.out, "%s  %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
	if b.live {
		b.draw()
	}
}

// table shows rows, the first one as a heading.
func (b *board) table(rows [][]string) {
	if b.quiet || slices.EqualFunc(b.rows, rows, slices.Equal) {
		return
	}
	b.rows = rows
	b.erase()
	b.draw()
}

func (b *board) erase() {
	if b.live && b.drawn > 0 {
		fmt.Fprintf(b.out, "\x1b[%dA\x1b[J", b.drawn)
	}
	b.drawn = 0
}

func (b *board) draw() {
	if len(b.rows) == 0 {
		return
	}
	widths := make([]int, len(b.rows[0]))
	for _, r := range b.rows {
		for i, cell := range r {
			widths[i] = max(widths[i], len(cell))
		}
	}
	fmt.Fprintln(b.out)
	for _, r := range b.rows {
		var line strings.Builder
		for i, cell := range r {
			fmt.Fprintf(&line, "%-*s  ", widths[i], cell)
		}
		fmt.Fprintln(b.out, strings.TrimRight(line.String(), " "))
	}
	b.drawn = len(b.rows) + 1
}
