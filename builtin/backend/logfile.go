package backend

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const logMode = 0o640

// logFile is a log that is rotated by size: path is the current file, path.1
// the one before it, up to path.<keep>. A line is never split over two files.
// It opens itself when it is written to, so that a disk that was full or a
// folder that was missing does not end the log for good.
type logFile struct {
	path string
	max  int64
	keep int

	f    *os.File
	size int64
	torn bool // the last write stopped within a line
}

// write appends the lines and returns how many of them are not in the log.
func (l *logFile) write(lines []line) (lost int, err error) {
	for len(lines) > 0 {
		if err := l.ready(len(lines[0].text) + 1); err != nil {
			return len(lines), err
		}
		buf := make([]byte, 0, 4096)
		if l.torn {
			buf = append(buf, '\n')
		}
		n := 0
		for n < len(lines) && (n == 0 || l.size+int64(len(buf)+len(lines[n].text)+1) <= l.max) {
			buf = append(append(buf, lines[n].text...), '\n')
			n++
		}
		written, err := l.append(buf)
		if err != nil {
			whole := bytes.Count(buf[:written], []byte{'\n'})
			return len(lines) - min(whole, n), err
		}
		lines = lines[n:]
	}
	return 0, nil
}

// append writes bytes. After an error the file is opened anew, at its real size.
func (l *logFile) append(buf []byte) (int, error) {
	n, err := l.f.Write(buf)
	l.size += int64(n)
	if n > 0 {
		l.torn = buf[n-1] != '\n'
	}
	if err != nil {
		return n, errors.Join(fmt.Errorf("write log: %w", err), l.close())
	}
	return n, nil
}

// ready opens the file, and rotates it when n more bytes make it too large.
func (l *logFile) ready(n int) error {
	if err := l.open(); err != nil {
		return err
	}
	if l.size == 0 || l.size+int64(n) <= l.max {
		return nil
	}
	if err := errors.Join(l.close(), l.rotate()); err != nil {
		return err
	}
	return l.open()
}

func (l *logFile) open() error {
	if l.f != nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(l.path), 0o750); err != nil {
		return fmt.Errorf("make log folder: %w", err)
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, logMode)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("stat log: %w", err), f.Close())
	}
	l.f, l.size = f, info.Size()
	return nil
}

// rotate moves each file one number up; the oldest is overwritten.
func (l *logFile) rotate() error {
	for i := l.keep; i > 0; i-- {
		from := l.numbered(i - 1)
		if err := os.Rename(from, l.numbered(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rotate log: %w", err)
		}
	}
	l.torn = false
	return nil
}

func (l *logFile) numbered(i int) string {
	if i == 0 {
		return l.path
	}
	return fmt.Sprintf("%s.%d", l.path, i)
}

func (l *logFile) close() error {
	if l.f == nil {
		return nil
	}
	f := l.f
	l.f = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("close log: %w", err)
	}
	return nil
}
