package wire

// Append encodes the failure.
func (m *Error) Append(dst []byte) []byte {
	dst = putText(dst, 1, m.Code)
	dst = putText(dst, 2, m.Text)
	return putBool(dst, 3, m.Retry)
}

// Decode is the reverse of Append.
func (m *Error) Decode(b []byte) error {
	*m = Error{}
	c := over(b)
	for c.next() {
		switch c.field {
		case 1:
			c.text(&m.Code)
		case 2:
			c.text(&m.Text)
		case 3:
			c.bool(&m.Retry)
		default:
			c.skip()
		}
	}
	return c.err()
}

// Append encodes the description.
func (m *Description) Append(dst []byte) []byte {
	dst = putText(dst, 1, string(m.Contract))
	dst = putText(dst, 2, m.Name)
	dst = putText(dst, 3, m.Version)
	dst = putTexts(dst, 4, m.Events)
	return putBool(dst, 5, m.Deltas)
}

// Decode is the reverse of Append.
func (m *Description) Decode(b []byte) error {
	*m = Description{Events: m.Events[:0]}
	c := over(b)
	for c.next() {
		switch c.field {
		case 1:
			c.text((*string)(&m.Contract))
		case 2:
			c.text(&m.Name)
		case 3:
			c.text(&m.Version)
		case 4:
			c.texts(&m.Events)
		case 5:
			c.bool(&m.Deltas)
		default:
			c.skip()
		}
	}
	return c.err()
}

// Append encodes the configuration.
func (m *Configure) Append(dst []byte) []byte {
	dst = putText(dst, 1, m.Platform)
	dst = putText(dst, 2, m.Node)
	dst = putText(dst, 3, m.App)
	dst = putBytes(dst, 4, m.Config)
	return putUint(dst, 5, m.Seed)
}

// Decode is the reverse of Append.
func (m *Configure) Decode(b []byte) error {
	*m = Configure{}
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
			c.bytes(&m.Config)
		case 5:
			c.uint(&m.Seed)
		default:
			c.skip()
		}
	}
	return c.err()
}
