package segment

import (
	"encoding/binary"
)

// Kinds of a page in a body.
const (
	kindWhole  = 0 // the page's bytes follow
	kindRanges = 1 // the ranges follow that differ from the version before
)

// merge is how many equal bytes between two ranges are cheaper to repeat than
// to begin a new range for.
const merge = 8

// appendRanges appends the ranges in which cur differs from prev: for each the
// distance from the end of the last one, its length, its bytes. ok is false
// when that is no good bargain: more than six tenths of the page.
func appendRanges(dst, prev, cur []byte) (out []byte, ok bool) {
	limit := len(dst) + len(cur)*6/10
	last := 0
	for at := differs(prev, cur, 0); at < len(cur); {
		end := rangeEnd(prev, cur, at)
		dst = binary.AppendUvarint(dst, uint64(at-last))
		dst = binary.AppendUvarint(dst, uint64(end-at))
		dst = append(dst, cur[at:end]...)
		if len(dst) > limit {
			return dst, false
		}
		last = end
		at = differs(prev, cur, end)
	}
	return dst, true
}

// differs returns the first position from at on where prev and cur differ, or
// the length of cur.
func differs(prev, cur []byte, at int) int {
	le := binary.LittleEndian
	for at+8 <= len(cur) && le.Uint64(prev[at:]) == le.Uint64(cur[at:]) {
		at += 8
	}
	for at < len(cur) && prev[at] == cur[at] {
		at++
	}
	return at
}

// rangeEnd returns the end of the range of differences that begins at at: the
// position behind its last difference before merge equal bytes.
func rangeEnd(prev, cur []byte, at int) int {
	end := at + 1
	for i := end; i < len(cur) && i-end < merge; i++ {
		if prev[i] != cur[i] {
			end = i + 1
		}
	}
	return end
}

// applyRanges turns, in place, a copy of the version before into the new one.
func applyRanges(data, ranges []byte) error {
	at := 0
	for len(ranges) > 0 {
		gap, rest, err := uvarint(ranges)
		if err != nil {
			return err
		}
		n, rest, err := uvarint(rest)
		if err != nil {
			return err
		}
		left := uint64(len(data) - at)
		if gap > left || n > left-gap || n == 0 || n > uint64(len(rest)) {
			return corrupt("a range of %d bytes, %d behind %d of a page of %d", n, gap, at, len(data))
		}
		at += int(gap)
		at += copy(data[at:], rest[:n])
		ranges = rest[n:]
	}
	return nil
}

func uvarint(b []byte) (v uint64, rest []byte, err error) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, corrupt("a number is cut off or too large")
	}
	return v, b[n:], nil
}
