package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Kind says what a frame is.
type Kind uint64

// The kinds of frames.
const (
	Call    Kind = 1 // host to plugin: do an operation
	Answer  Kind = 2 // plugin to host: it is done
	Failure Kind = 3 // plugin to host: it could not be done
	Ask     Kind = 4 // plugin to host: do an operation for me
	Reply   Kind = 5 // host to plugin: it is done
	Refusal Kind = 6 // host to plugin: it is not
)

// Overhead is the most that a frame adds to its body, in bytes.
const Overhead = 2*MaxOp + 64

// MaxOp is the longest name of an operation, in bytes.
const MaxOp = 128

// Frame is one message of the stream of a call.
type Frame struct {
	Kind    Kind
	Op      string
	Body    []byte
	Timeout time.Duration // whole milliseconds; 0: not bounded
}

const (
	fieldKind    = 1
	fieldOp      = 2
	fieldBody    = 3
	fieldTimeout = 4

	typeVarint = 0
	typeFixed8 = 1
	typeBytes  = 2
	typeFixed4 = 5
)

// Append appends the frame to dst and returns it.
func (f *Frame) Append(dst []byte) []byte {
	dst = appendVarint(dst, fieldKind, uint64(f.Kind))
	if f.Op != "" {
		dst = append(binary.AppendUvarint(append(dst, fieldOp<<3|typeBytes), uint64(len(f.Op))), f.Op...)
	}
	if ms := f.Timeout.Milliseconds(); ms > 0 {
		dst = appendVarint(dst, fieldTimeout, uint64(ms))
	}
	if len(f.Body) > 0 {
		dst = append(binary.AppendUvarint(append(dst, fieldBody<<3|typeBytes), uint64(len(f.Body))), f.Body...)
	}
	return dst
}

func appendVarint(dst []byte, field byte, v uint64) []byte {
	return binary.AppendUvarint(append(dst, field<<3|typeVarint), v)
}

var errTruncated = errors.New("it ends in the middle of a field")

// Decode overwrites the frame with what b holds. Body aliases b. Fields that it
// does not know are skipped, so that later versions can add some.
//
// # Errors
//
// What is not protobuf, a kind that does not exist, an operation's name longer
// than [MaxOp].
func (f *Frame) Decode(b []byte) error {
	*f = Frame{}
	for len(b) > 0 {
		rest, err := f.field(b)
		if err != nil {
			return fmt.Errorf("decode frame: %w", err)
		}
		b = rest
	}
	if f.Kind < Call || f.Kind > Refusal {
		return fmt.Errorf("decode frame: kind %d does not exist", f.Kind)
	}
	return nil
}

// field takes the first field of b and returns the rest.
func (f *Frame) field(b []byte) (rest []byte, err error) {
	tag, n := binary.Uvarint(b)
	if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
		return nil, errors.New("it has no valid tag where one must be")
	}
	b = b[n:]
	switch tag & 7 {
	case typeVarint:
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errTruncated
		}
		return b[n:], f.number(tag>>3, v)
	case typeBytes:
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, errTruncated
		}
		b = b[n:]
		return b[size:], f.bytes(tag>>3, b[:size:size])
	case typeFixed8:
		return skip(b, 8)
	case typeFixed4:
		return skip(b, 4)
	}
	return nil, fmt.Errorf("wire type %d is not used", tag&7)
}

func skip(b []byte, n int) ([]byte, error) {
	if len(b) < n {
		return nil, errTruncated
	}
	return b[n:], nil
}

func (f *Frame) number(field, v uint64) error {
	switch field {
	case fieldKind:
		f.Kind = Kind(v)
	case fieldTimeout:
		const longest = uint64(24 * time.Hour / time.Millisecond)
		f.Timeout = time.Duration(min(v, longest)) * time.Millisecond
	case fieldOp, fieldBody:
		return fmt.Errorf("field %d is a number", field)
	}
	return nil
}

func (f *Frame) bytes(field uint64, b []byte) error {
	switch field {
	case fieldOp:
		if len(b) > MaxOp {
			return fmt.Errorf("the name of the operation has %d bytes: the longest allowed is %d", len(b), MaxOp)
		}
		f.Op = string(b)
	case fieldBody:
		f.Body = b
	case fieldKind, fieldTimeout:
		return fmt.Errorf("field %d is not a number", field)
	}
	return nil
}
