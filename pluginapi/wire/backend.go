package wire

// Append encodes whose the backend is.
func (m *Bind) Append(dst []byte) []byte {
	dst = putText(dst, 1, m.Platform)
	dst = putText(dst, 2, m.Node)
	dst = putText(dst, 3, m.App)
	return putText(dst, 4, m.Dir)
}

// Decode is the reverse of Append.
func (m *Bind) Decode(b []byte) error {
	*m = Bind{}
	c := over(b)
	for c.next() {
		switch c.field {
		case 1:
			c.text(&m.Platform)
		case 2:
			c.text(&m.Node)
		case 3:
			c.text(&m.App)
		case 4:
			c.text(&m.Dir)
		default:
			c.skip()
		}
	}
	return c.err()
}

// Append encodes the fences.
func (m *Fences) Append(dst []byte) []byte {
	for _, f := range m.Fences {
		dst = putPair(dst, 1, f.Kind, f.Name)
	}
	return dst
}

// Decode is the reverse of Append.
func (m *Fences) Decode(b []byte) error {
	m.Fences = m.Fences[:0]
	c := over(b)
	for c.next() {
		if c.field != 1 || c.kind != kindLen {
			c.skip()
			continue
		}
		f := another(&m.Fences)
		c.pair(&f.Kind, &f.Name)
	}
	return c.err()
}

// Append encodes the wish.
func (m *Start) Append(dst []byte) []byte { return putUint(dst, 1, m.Epoch) }

// Decode is the reverse of Append.
func (m *Start) Decode(b []byte) error {
	*m = Start{}
	c := over(b)
	for c.next() {
		if c.field == 1 {
			c.uint(&m.Epoch)
		} else {
			c.skip()
		}
	}
	return c.err()
}

// Append encodes the wish.
func (m *Stop) Append(dst []byte) []byte { return putInt(dst, 1, m.GraceMS) }

// Decode is the reverse of Append.
func (m *Stop) Decode(b []byte) error {
	*m = Stop{}
	c := over(b)
	for c.next() {
		if c.field == 1 {
			c.int(&m.GraceMS)
		} else {
			c.skip()
		}
	}
	return c.err()
}

// Append encodes the state.
func (m *Status) Append(dst []byte) []byte {
	dst = putText(dst, 1, m.Status)
	dst = putText(dst, 2, m.Message)
	dst = putInt(dst, 3, m.UptimeMS)
	return putText(dst, 4, m.Failed)
}

// Decode is the reverse of Append.
func (m *Status) Decode(b []byte) error {
	*m = Status{}
	c := over(b)
	for c.next() {
		switch c.field {
		case 1:
			c.text(&m.Status)
		case 2:
			c.text(&m.Message)
		case 3:
			c.int(&m.UptimeMS)
		case 4:
			c.text(&m.Failed)
		default:
			c.skip()
		}
	}
	return c.err()
}
