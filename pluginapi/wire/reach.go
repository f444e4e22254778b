package wire

// Append encodes the call.
func (m *Call) Append(dst []byte) []byte {
	dst = putText(dst, 1, m.App)
	dst = putText(dst, 2, m.Method)
	dst = putBytes(dst, 3, m.Data)
	return putInt(dst, 4, m.Timeout)
}

// Decode is the reverse of Append.
func (m *Call) Decode(b []byte) error {
	*m = Call{}
	c := over(b)
	for c.next() {
		switch c.field {
		case 1:
			c.text(&m.App)
		case 2:
			c.text(&m.Method)
		case 3:
			c.bytes(&m.Data)
		case 4:
			c.int(&m.Timeout)
		default:
			c.skip()
		}
	}
	return c.err()
}

// Append encodes the request.
func (m *HTTPRequest) Append(dst []byte) []byte {
	dst = putText(dst, 1, m.Method)
	dst = putText(dst, 2, m.URL)
	dst = putHeaders(dst, 3, m.Headers)
	dst = putBytes(dst, 4, m.Body)
	return putInt(dst, 5, m.Timeout)
}

// Decode is the reverse of Append.
func (m *HTTPRequest) Decode(b []byte) error {
	*m = HTTPRequest{Headers: m.Headers[:0]}
	c := over(b)
	for c.next() {
		switch c.field {
		case 1:
			c.text(&m.Method)
		case 2:
			c.text(&m.URL)
		case 3:
			c.headers(&m.Headers)
		case 4:
			c.bytes(&m.Body)
		case 5:
			c.int(&m.Timeout)
		default:
			c.skip()
		}
	}
	return c.err()
}

// Append encodes the answer.
func (m *HTTPResponse) Append(dst []byte) []byte {
	dst = putInt(dst, 1, m.Status)
	dst = putHeaders(dst, 2, m.Headers)
	return putBytes(dst, 3, m.Body)
}

// Decode is the reverse of Append.
func (m *HTTPResponse) Decode(b []byte) error {
	*m = HTTPResponse{Headers: m.Headers[:0]}
	c := over(b)
	for c.next() {
		switch c.field {
		case 1:
			c.int(&m.Status)
		case 2:
			c.headers(&m.Headers)
		case 3:
			c.bytes(&m.Body)
		default:
			c.skip()
		}
	}
	return c.err()
}

func putHeaders(dst []byte, field int, list []Header) []byte {
	for i := range list {
		dst = putPair(dst, field, list[i].Name, list[i].Value)
	}
	return dst
}

// headers reads one header of a list.
func (c *cursor) headers(p *[]Header) {
	if c.kind != kindLen {
		c.skip()
		return
	}
	h := another(p)
	c.pair(&h.Name, &h.Value)
}

// Append encodes the request.
func (m *ExecRequest) Append(dst []byte) []byte {
	dst = putText(dst, 1, m.Command)
	dst = putTexts(dst, 2, m.Args)
	dst = putBytes(dst, 3, m.Stdin)
	return putInt(dst, 4, m.Timeout)
}

// Decode is the reverse of Append.
func (m *ExecRequest) Decode(b []byte) error {
	*m = ExecRequest{Args: m.Args[:0]}
	c := over(b)
	for c.next() {
		switch c.field {
		case 1:
			c.text(&m.Command)
		case 2:
			c.texts(&m.Args)
		case 3:
			c.bytes(&m.Stdin)
		case 4:
			c.int(&m.Timeout)
		default:
			c.skip()
		}
	}
	return c.err()
}

// Append encodes the result.
func (m *ExecResult) Append(dst []byte) []byte {
	dst = putInt(dst, 1, m.Code)
	dst = putBytes(dst, 2, m.Stdout)
	return putBytes(dst, 3, m.Stderr)
}

// Decode is the reverse of Append.
func (m *ExecResult) Decode(b []byte) error {
	*m = ExecResult{}
	c := over(b)
	for c.next() {
		switch c.field {
		case 1:
			c.int(&m.Code)
		case 2:
			c.bytes(&m.Stdout)
		case 3:
			c.bytes(&m.Stderr)
		default:
			c.skip()
		}
	}
	return c.err()
}
