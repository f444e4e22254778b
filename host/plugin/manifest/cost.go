package manifest

import (
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// What a schema, and checking a config against it, may cost. A manifest is read
// before anybody knows whether its signature is good, and its default config is
// checked then: without a bound, 70 KB took three minutes. A schema that does not
// lead back to itself looks with each part at each value once at most, and Go's
// patterns take a time that grows with the text and the size of the pattern's
// program (see package regexp): so the two products bound the work, to about a
// second.
const (
	maxSchemaParts = 2000
	maxPattern     = 500 // bytes
	maxInsts       = 20_000
	maxLooks       = 100_000    // parts of the schema x values of the config
	maxSteps       = 30_000_000 // instructions of all patterns x bytes of texts of the config
)

// checkedSchema is a schema and what it costs.
type checkedSchema struct {
	schema *jsonschema.Schema
	cost   cost
}

// validate checks a value.
//
// # Errors
//
// ErrTooLarge where that would take too long; the validator's.
func (s *checkedSchema) validate(v any) error {
	values, bytes := extent(v)
	if s.cost.parts*values > maxLooks || s.cost.insts*bytes > maxSteps {
		return fmt.Errorf("%w: a config with %d values and %d bytes of text against a schema with %d parts: make one of them smaller",
			pluginapi.ErrTooLarge, values, bytes, s.cost.parts)
	}
	return s.schema.Validate(v)
}

// extent counts the values, and the bytes of the texts, keys among them.
func extent(v any) (values, bytes int) {
	switch v := v.(type) {
	case string:
		return 1, len(v)
	case []any:
		for _, item := range v {
			n, b := extent(item)
			values, bytes = values+n, bytes+b
		}
	case map[string]any:
		for key, item := range v {
			n, b := extent(item)
			values, bytes = values+n, bytes+b+len(key)
		}
	}
	return values + 1, bytes
}

// cost counts the parts of a schema.
type cost struct {
	root  map[string]any
	parts int // with every $ref written out
	insts int // of the programs of all patterns
}

func (c *cost) of(v any, depth int) error {
	if c.parts++; c.parts > maxSchemaParts {
		return fault("it has more than %d parts when every $ref is written out", maxSchemaParts)
	}
	if depth > maxDepth {
		return fault("it is more than %d levels deep, or a $ref leads back to itself", maxDepth)
	}
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if err := c.of(item, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if err := c.key(key, v[key], depth); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *cost) key(key string, v any, depth int) error {
	text, isText := v.(string)
	switch {
	case isText && (key == "$id" || key == "id" || key == "$anchor" || strings.HasPrefix(key, "$dynamic") || strings.HasPrefix(key, "$recursive")):
		return fault("%s is not allowed: give parts a name below $defs, and write $ref: \"#/$defs/NAME\"", key)
	case isText && key == "$ref":
		target, err := c.find(text)
		if err != nil {
			return err
		}
		return c.of(target, depth+1)
	case isText && key == "pattern":
		return c.pattern(text)
	case key == "patternProperties":
		patterns, _ := v.(map[string]any)
		for _, p := range slices.Sorted(maps.Keys(patterns)) {
			if err := c.pattern(p); err != nil {
				return err
			}
		}
	}
	return c.of(v, depth+1)
}

// pattern counts a pattern. One that is wrong is told when it is compiled.
func (c *cost) pattern(text string) error {
	if len(text) > maxPattern {
		return fault("a pattern has more than %d bytes", maxPattern)
	}
	c.parts++
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil
	}
	if c.insts += len(prog.Inst); c.insts > maxInsts {
		return fault("its patterns are too large: %d instructions, and %d are allowed", c.insts, maxInsts)
	}
	return nil
}

// find returns what a reference within the schema names.
func (c *cost) find(ref string) (any, error) {
	for _, place := range []string{"$defs", "definitions"} {
		if name, ok := strings.CutPrefix(ref, "#/"+place+"/"); ok && !strings.ContainsAny(name, "/~%") {
			if defs, ok := c.root[place].(map[string]any); ok && defs[name] != nil {
				return defs[name], nil
			}
		}
	}
	return nil, fault("$ref: %.80q names nothing: only \"#/$defs/NAME\" is allowed", ref)
}
