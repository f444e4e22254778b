package guard

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// sight is what a look at a process says.
type sight int

const (
	unmarked sight = iota
	marked
	ended    // it has ended and waits for its parent
	vanished // there is no such process (any more)
	unsure   // it is about to exec or to exit and shows no environment
)

// looker reads the environments of processes.
type looker struct {
	marks [][]byte // each between two zero bytes
	buf   bytes.Buffer
}

// at looks at one process. One that we may not read belongs to another user and
// cannot be killed by us either.
func (l *looker) at(pid int) sight {
	proc := "/proc/" + strconv.Itoa(pid)
	switch err := l.read(proc + "/environ"); {
	case err == nil && l.buf.Len() > 2:
		return l.match()
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH):
		return l.withoutEnv(proc)
	}
	return unmarked
}

// withoutEnv says why a process shows no environment.
func (l *looker) withoutEnv(proc string) sight {
	stat, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return vanished
	}
	// Fields as proc(5) counts them, from the 3rd on: the 2nd is a name that may
	// hold anything.
	const state, flags, envStart = 3, 9, 50
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) <= envStart-3 {
		return unsure
	}
	const kernelThread = 0x00200000
	if n, _ := strconv.ParseUint(f[flags-3], 10, 64); n&kernelThread != 0 || f[envStart-3] != "0" {
		return unmarked // never had one, or was started with an empty one
	}
	if f[state-3] == "Z" || f[state-3] == "X" {
		return l.threads(proc)
	}
	return unsure
}

// threads looks at a process whose main thread has ended: others may go on.
func (l *looker) threads(proc string) sight {
	tasks, _ := os.ReadDir(proc + "/task")
	for _, task := range tasks {
		if l.read(proc+"/task/"+task.Name()+"/environ") == nil && l.buf.Len() > 2 {
			return l.match()
		}
	}
	return ended
}

// read fills the buffer with the environment between two zero bytes.
func (l *looker) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	l.buf.Reset()
	l.buf.WriteByte(0)
	_, err = io.Copy(&l.buf, f)
	l.buf.WriteByte(0)
	return err
}

func (l *looker) match() sight {
	for _, m := range l.marks {
		if bytes.Contains(l.buf.Bytes(), m) {
			return marked
		}
	}
	return unmarked
}
