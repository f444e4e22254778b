package fuel

import "fmt"

const rebuild = "the file is damaged or not WebAssembly: build it again"

// reader reads a part of a module. After the first fault it stands at its end
// and gives zeros, so that loops over it stop by themselves.
type reader struct {
	b       []byte // the whole module
	at, end int
	section string
	fault   *Refusal
}

func (r *reader) err() error {
	if r.fault == nil {
		return nil
	}
	return r.fault
}

func (r *reader) fail(at int, mend, what string, args ...any) {
	if r.fault == nil {
		r.fault = &Refusal{Section: r.section, Offset: at, What: fmt.Sprintf(what, args...), Mend: mend}
	}
	r.at = r.end
}

// more says whether the reader is not at its end.
func (r *reader) more() bool { return r.at < r.end }

func (r *reader) byte() byte {
	if r.at >= r.end {
		r.fail(r.at, rebuild, "it ends too early")
		return 0
	}
	c := r.b[r.at]
	r.at++
	return c
}

func (r *reader) skip(n uint64) {
	if n > uint64(r.end-r.at) {
		r.fail(r.at, rebuild, "%d bytes are announced, %d are there", n, r.end-r.at)
		return
	}
	r.at += int(n)
}

// u32 reads an unsigned LEB128 of 32 bits: at most 5 bytes, nothing above bit 31.
func (r *reader) u32() uint32 {
	from := r.at
	var v uint32
	for shift := 0; ; shift += 7 {
		c := r.byte()
		if shift == 28 && c > 0x0f {
			r.fail(from, rebuild, "a number has more than 32 bits")
			return 0
		}
		v |= uint32(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
}

// signed reads a signed LEB128 of so many bits, at most 64: no more bytes than
// needed for those, and above the highest bit nothing but its copies.
func (r *reader) signed(bits int) int64 {
	from := r.at
	var v int64
	for shift := 0; ; shift += 7 {
		c := r.byte()
		v |= int64(c&0x7f) << shift
		if left := bits - shift; left <= 7 {
			if high := int8(c<<1) >> left; c >= 0x80 || high != 0 && high != -1 {
				r.fail(from, rebuild, "a number has more than %d bits", bits)
				return 0
			}
		}
		if c < 0x80 {
			if shift+7 < 64 && c&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
}

// name reads a name; it aliases the module.
func (r *reader) name() []byte {
	n := r.u32()
	from := r.at
	r.skip(uint64(n))
	if r.fault != nil {
		return nil
	}
	return r.b[from:r.at]
}

// index reads an index of a space that has so many members.
func (r *reader) index(space string, members uint32) uint32 {
	from := r.at
	i := r.u32()
	if i >= members && r.fault == nil {
		r.fail(from, rebuild, "%s %d is named, there are %d", space, i, members)
		return 0
	}
	return i
}

// count reads the length of a list and holds it against a bound.
func (r *reader) count(what string, most int) uint32 {
	from := r.at
	n := r.u32()
	if uint64(n) > uint64(most) {
		r.fail(from, "split the plugin, or build it for size", "%d %s, allowed are %d", n, what, most)
		return 0
	}
	return n
}

// zero reads a byte that must be 0: the place of an index that only later
// versions of WebAssembly have.
func (r *reader) zero(what string) {
	from := r.at
	if r.byte() != 0 && r.fault == nil {
		r.fail(from, "build it with one memory", "%s", what)
	}
}

func (r *reader) done() {
	if r.fault == nil && r.at != r.end {
		r.fail(r.at, rebuild, "%d bytes too many", r.end-r.at)
	}
}
