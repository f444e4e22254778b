package wire

// Append encodes the name.
func (m *Key) Append(dst []byte) []byte { return putText(dst, 1, m.Key) }

// Decode is the reverse of Append.
func (m *Key) Decode(b []byte) error {
	*m = Key{}
	c := over(b)
	for c.next() {
		if c.field == 1 {
			c.text(&m.Key)
		} else {
			c.skip()
		}
	}
	return c.err()
}

// Append encodes the pair.
func (m *KeyValue) Append(dst []byte) []byte {
	return putBytes(putText(dst, 1, m.Key), 2, m.Value)
}

// Decode is the reverse of Append.
func (m *KeyValue) Decode(b []byte) error {
	*m = KeyValue{}
	return decodeNamed(b, &m.Key, &m.Value)
}

// decodeNamed reads a message of a string and bytes.
func decodeNamed(b []byte, name *string, data *[]byte) error {
	c := over(b)
	for c.next() {
		switch c.field {
		case 1:
			c.text(name)
		case 2:
			c.bytes(data)
		default:
			c.skip()
		}
	}
	return c.err()
}

// Append encodes the bytes.
func (m *Value) Append(dst []byte) []byte { return putBytes(dst, 1, m.Value) }

// Decode is the reverse of Append.
func (m *Value) Decode(b []byte) error {
	*m = Value{}
	c := over(b)
	for c.next() {
		if c.field == 1 {
			c.bytes(&m.Value)
		} else {
			c.skip()
		}
	}
	return c.err()
}

// Append encodes the list.
func (m *Keys) Append(dst []byte) []byte { return putTexts(dst, 1, m.Keys) }

// Decode is the reverse of Append.
func (m *Keys) Decode(b []byte) error {
	m.Keys = m.Keys[:0]
	c := over(b)
	for c.next() {
		if c.field == 1 {
			c.texts(&m.Keys)
		} else {
			c.skip()
		}
	}
	return c.err()
}

// Append encodes the event.
func (m *Publish) Append(dst []byte) []byte {
	return putBytes(putText(dst, 1, m.Subject), 2, m.Data)
}

// Decode is the reverse of Append.
func (m *Publish) Decode(b []byte) error {
	*m = Publish{}
	return decodeNamed(b, &m.Subject, &m.Data)
}

// Append encodes the time.
func (m *Clock) Append(dst []byte) []byte {
	return putInt(putInt(dst, 1, m.UnixMS), 2, m.Uptime)
}

// Decode is the reverse of Append.
func (m *Clock) Decode(b []byte) error {
	*m = Clock{}
	c := over(b)
	for c.next() {
		switch c.field {
		case 1:
			c.int(&m.UnixMS)
		case 2:
			c.int(&m.Uptime)
		default:
			c.skip()
		}
	}
	return c.err()
}

// Append encodes the count.
func (m *Random) Append(dst []byte) []byte { return putInt(dst, 1, m.Count) }

// Decode is the reverse of Append.
func (m *Random) Decode(b []byte) error {
	*m = Random{}
	c := over(b)
	for c.next() {
		if c.field == 1 {
			c.int(&m.Count)
		} else {
			c.skip()
		}
	}
	return c.err()
}
