package wire

import (
	"strings"
	"unicode/utf8"
)

// The put functions append one field; a value that is zero or empty is left out,
// but for those of a list.

func putVarint(dst []byte, v uint64) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

func putTag(dst []byte, field, kind int) []byte {
	return putVarint(dst, uint64(field<<3|kind))
}

func putUint(dst []byte, field int, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return putVarint(putTag(dst, field, kindVarint), v)
}

func putInt(dst []byte, field int, v int64) []byte { return putUint(dst, field, uint64(v)) }

func putBool(dst []byte, field int, v bool) []byte {
	if !v {
		return dst
	}
	return append(putTag(dst, field, kindVarint), 1)
}

func putText(dst []byte, field int, s string) []byte {
	if s == "" {
		return dst
	}
	return putItem(dst, field, s)
}

func putTexts(dst []byte, field int, list []string) []byte {
	for _, s := range list {
		dst = putItem(dst, field, s)
	}
	return dst
}

func putItem(dst []byte, field int, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	dst = putVarint(putTag(dst, field, kindLen), uint64(len(s)))
	return append(dst, s...)
}

func putBytes(dst []byte, field int, b []byte) []byte {
	if len(b) == 0 {
		return dst
	}
	dst = putVarint(putTag(dst, field, kindLen), uint64(len(b)))
	return append(dst, b...)
}

func putInts(dst []byte, field int, list []int64) []byte {
	if len(list) == 0 {
		return dst
	}
	dst, at := open(dst, field)
	for _, v := range list {
		dst = putVarint(dst, uint64(v))
	}
	return shut(dst, at)
}

func putSints(dst []byte, field int, list []int64) []byte {
	if len(list) == 0 {
		return dst
	}
	dst, at := open(dst, field)
	for _, v := range list {
		dst = putVarint(dst, uint64(v)<<1^uint64(v>>63))
	}
	return shut(dst, at)
}

// open begins a submessage with one byte for its length, which is enough for
// most; shut, given open's answer, writes the length and moves the submessage
// when it needs more.
func open(dst []byte, field int) (out []byte, at int) {
	dst = append(putTag(dst, field, kindLen), 0)
	return dst, len(dst)
}

func shut(dst []byte, at int) []byte {
	n := len(dst) - at
	if n < 0x80 {
		dst[at-1] = byte(n)
		return dst
	}
	more := 0
	for v := n >> 7; v > 0; v >>= 7 {
		dst = append(dst, 0)
		more++
	}
	copy(dst[at+more:], dst[at:at+n])
	putVarint(dst[:at-1], uint64(n))
	return dst
}
