package sdk

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

type kind byte

const (
	absent kind = iota
	null
	boolean
	number
	text
	list
	object
)

// String is the kind in a sentence.
func (k kind) String() string {
	return [...]string{"nothing", "null", "true or false", "a number", "a string", "a list", "an object"}[k]
}

// value is a JSON value. Its text is the string, or the number or the word as it
// is written; its items are a list's values or an object's members.
type value struct {
	kind  kind
	name  string // of a member
	text  string
	items []value
}

func (v value) member(name string) (value, bool) {
	if v.kind == object {
		for _, m := range v.items {
			if m.name == name {
				return m, true
			}
		}
	}
	return value{}, false
}

// maxDepth bounds how deep lists and objects lie in each other: the parser calls
// itself for each.
const maxDepth = 64

// parser reads JSON as RFC 8259 has it. A name that is twice in an object is
// refused: one of the two would not be seen.
type parser struct {
	b     []byte
	at    int
	fault string
}

// parseJSON reads one value. What it returns shares no memory with b.
func parseJSON(b []byte) (value, error) {
	p := &parser{b: b}
	v := p.value(0)
	if p.peek(); p.at < len(b) {
		p.fail("more after the end of the value")
	}
	if p.fault != "" {
		return value{}, invalid(p.fault)
	}
	return v, nil
}

// fail keeps the first fault, and goes to the end.
func (p *parser) fail(what string) {
	if p.fault == "" {
		p.fault = what + ", byte " + strconv.Itoa(p.at)
	}
	p.at = len(p.b)
}

// peek is the next byte that is no space; 0 at the end.
func (p *parser) peek() byte {
	for ; p.at < len(p.b); p.at++ {
		switch c := p.b[p.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

func (p *parser) expect(c byte) {
	if p.peek() != c {
		p.fail("a " + string(rune(c)) + " is expected")
		return
	}
	p.at++
}

func (p *parser) value(depth int) value {
	if depth > maxDepth {
		p.fail("too many lists and objects in each other")
		return value{}
	}
	switch c := p.peek(); {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.list(depth)
	case c == '"':
		return value{kind: text, text: p.text()}
	case c == '-' || c >= '0' && c <= '9':
		return value{kind: number, text: p.number()}
	case p.word("true"):
		return value{kind: boolean, text: "true"}
	case p.word("false"):
		return value{kind: boolean, text: "false"}
	case p.word("null"):
		return value{kind: null}
	}
	p.fail("a value is expected")
	return value{}
}

func (p *parser) word(w string) bool {
	if len(p.b)-p.at < len(w) || string(p.b[p.at:p.at+len(w)]) != w {
		return false
	}
	p.at += len(w)
	return true
}

func (p *parser) list(depth int) value {
	v := value{kind: list}
	p.expect('[')
	if p.peek() == ']' {
		p.at++
		return v
	}
	for p.fault == "" {
		v.items = append(v.items, p.value(depth+1))
		if p.peek() != ',' {
			break
		}
		p.at++
	}
	p.expect(']')
	return v
}

func (p *parser) object(depth int) value {
	v := value{kind: object}
	p.expect('{')
	if p.peek() == '}' {
		p.at++
		return v
	}
	for p.fault == "" {
		if p.peek() != '"' {
			p.fail("a name is expected")
			break
		}
		name := p.text()
		if _, twice := v.member(name); twice {
			p.fail("the name " + strconv.Quote(name) + " is twice there")
		}
		p.expect(':')
		item := p.value(depth + 1)
		item.name = name
		v.items = append(v.items, item)
		if p.peek() != ',' {
			break
		}
		p.at++
	}
	p.expect('}')
	return v
}

// number reads -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?.
func (p *parser) number() string {
	from := p.at
	p.sign("-")
	if p.at < len(p.b) && p.b[p.at] == '0' {
		p.at++
	} else {
		p.digits()
	}
	if p.at < len(p.b) && p.b[p.at] == '.' {
		p.at++
		p.digits()
	}
	if p.at < len(p.b) && p.b[p.at]|0x20 == 'e' {
		p.at++
		p.sign("+-")
		p.digits()
	}
	return string(p.b[from:p.at])
}

func (p *parser) sign(of string) {
	for i := range len(of) {
		if p.at < len(p.b) && p.b[p.at] == of[i] {
			p.at++
			return
		}
	}
}

func (p *parser) digits() {
	from := p.at
	for p.at < len(p.b) && p.b[p.at] >= '0' && p.b[p.at] <= '9' {
		p.at++
	}
	if p.at == from {
		p.fail("a digit is expected")
	}
}

// text reads a string, from its first quote on.
func (p *parser) text() string {
	p.at++
	var out []byte
	for p.at < len(p.b) {
		c := p.b[p.at]
		switch {
		case c == '"':
			p.at++
			if !utf8.Valid(out) {
				p.fail("a string is not UTF-8")
			}
			return string(out)
		case c < ' ':
			p.fail("a control character in a string")
			return ""
		case c == '\\':
			p.at++
			out = p.escape(out)
		default:
			out = append(out, c)
			p.at++
		}
	}
	p.fail("a string does not end")
	return ""
}

// escape reads what follows a backslash.
func (p *parser) escape(out []byte) []byte {
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if p.at == len(p.b) {
		return out
	}
	c := p.b[p.at]
	for i := range len(from) {
		if from[i] == c {
			p.at++
			return append(out, to[i])
		}
	}
	if c != 'u' {
		p.fail("an escape that JSON has not")
		return out
	}
	r := p.unit()
	if utf16.IsSurrogate(r) {
		second := utf8.RuneError
		if p.word(`\`) && p.at < len(p.b) && p.b[p.at] == 'u' {
			second = p.unit()
		}
		if r = utf16.DecodeRune(r, second); r == utf8.RuneError {
			p.fail("half of a surrogate pair")
		}
	}
	return utf8.AppendRune(out, r)
}

// unit reads uXXXX.
func (p *parser) unit() rune {
	if len(p.b)-p.at < 5 {
		p.fail("an escape that is too short")
		return 0
	}
	n, err := strconv.ParseUint(string(p.b[p.at+1:p.at+5]), 16, 16)
	if err != nil {
		p.fail("an escape that is no number")
		return 0
	}
	p.at += 5
	return rune(n)
}
