package sdk

import (
	"strconv"

	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// Config is the plugin's configuration, or an object in it. The manifest's schema
// has been checked by the host; what is not as it is read here is a fault all the
// same. The first fault is kept, and told to the host by the SDK.
type Config struct {
	value value
	path  string
	fault *string // shared by all parts
}

func parseConfig(b []byte) (*Config, error) {
	c := &Config{fault: new(string)}
	if len(b) == 0 {
		return c, nil
	}
	v, err := parseJSON(b)
	if err != nil {
		return nil, err
	}
	if v.kind != object && v.kind != null {
		return nil, invalid("an object is expected")
	}
	c.value = v
	return c, nil
}

func invalid(text string) error {
	return &wire.Error{Code: string(ErrInvalid), Text: "read configuration: " + text}
}

// Err is the first fault of what was read so far, or nil.
func (c *Config) Err() error {
	if *c.fault == "" {
		return nil
	}
	return invalid(*c.fault)
}

// get looks a member up; nothing and null are the same.
func (c *Config) get(key string, want kind) (value, bool) {
	v, ok := c.value.member(key)
	if !ok || v.kind == null {
		return value{}, false
	}
	if v.kind != want {
		c.fail(key, want.String()+" is expected, not "+v.kind.String())
		return value{}, false
	}
	return v, true
}

func (c *Config) fail(key, text string) {
	if *c.fault == "" {
		*c.fault = c.path + key + ": " + text
	}
}

// Has says whether there is a value, other than null.
func (c *Config) Has(key string) bool {
	v, ok := c.value.member(key)
	return ok && v.kind != null
}

// Text reads a string; def if there is none.
func (c *Config) Text(key, def string) string {
	if v, ok := c.get(key, text); ok {
		return v.text
	}
	return def
}

// Bool reads true or false; def if there is neither.
func (c *Config) Bool(key string, def bool) bool {
	if v, ok := c.get(key, boolean); ok {
		return v.text == "true"
	}
	return def
}

// Int reads a whole number; def if there is none. 1e3 and 2.0 are not written as
// whole numbers.
func (c *Config) Int(key string, def int64) int64 {
	v, ok := c.get(key, number)
	if !ok {
		return def
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	if err != nil {
		c.fail(key, "a whole number of 64 bits is expected, not "+v.text)
		return def
	}
	return n
}

// Float reads a number; def if there is none.
func (c *Config) Float(key string, def float64) float64 {
	v, ok := c.get(key, number)
	if !ok {
		return def
	}
	n, err := strconv.ParseFloat(v.text, 64)
	if err != nil {
		c.fail(key, "the number is too large: "+v.text)
		return def
	}
	return n
}

// Texts reads a list of strings; nil if there is none.
func (c *Config) Texts(key string) []string {
	v, _ := c.get(key, list)
	var all []string
	for i, item := range v.items {
		if item.kind != text {
			c.fail(key+"["+strconv.Itoa(i)+"]", "a string is expected, not "+item.kind.String())
			return nil
		}
		all = append(all, item.text)
	}
	return all
}

// Sub reads an object; an empty one if there is none.
func (c *Config) Sub(key string) *Config {
	v, _ := c.get(key, object)
	return &Config{value: v, path: c.path + key + ".", fault: c.fault}
}

// Subs reads a list of objects; nil if there is none.
func (c *Config) Subs(key string) []*Config {
	v, _ := c.get(key, list)
	var all []*Config
	for i, item := range v.items {
		at := key + "[" + strconv.Itoa(i) + "]"
		if item.kind != object {
			c.fail(at, "an object is expected, not "+item.kind.String())
			return nil
		}
		all = append(all, &Config{value: item, path: c.path + at + ".", fault: c.fault})
	}
	return all
}

// Keys lists the names of the object's members, in their order.
func (c *Config) Keys() []string {
	var names []string
	for _, m := range c.value.items {
		names = append(names, m.name)
	}
	return names
}
