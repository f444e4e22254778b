package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// CheckConfig says whether a config, a JSON object, is one for this plugin.
// Nothing is filled in: see [Manifest.Config].
//
// # Errors
//
// [pluginapi.ErrInvalid] with every place of the config that breaks the schema;
// [pluginapi.ErrTooLarge] over [MaxConfig].
func (m Manifest) CheckConfig(config []byte) error {
	v, err := decodeJSON(config)
	if err == nil {
		err = m.checkValue(v)
	}
	if err != nil {
		return fmt.Errorf("check config of plugin %s: %w", m.Name, err)
	}
	return nil
}

// Config returns what the plugin is configured with: the keys of the config
// given, and beside them those of the manifest's default config that are not
// given. Only whole keys of the first level are filled in. given may be nil.
//
// # Errors
//
// As of [Manifest.CheckConfig].
func (m Manifest) Config(given []byte) ([]byte, error) {
	merged := map[string]any{}
	for _, text := range [][]byte{m.Default, given} {
		if len(text) == 0 {
			continue
		}
		v, err := decodeJSON(text)
		object, ok := v.(map[string]any)
		if err == nil && !ok {
			err = fmt.Errorf("%w: it is no JSON object", pluginapi.ErrInvalid)
		}
		if err != nil {
			return nil, fmt.Errorf("check config of plugin %s: %w", m.Name, err)
		}
		maps.Copy(merged, object)
	}
	text, err := encode(merged)
	if err != nil {
		return nil, fmt.Errorf("encode config of plugin %s: %w", m.Name, err)
	}
	return text, m.CheckConfig(text)
}

func (m Manifest) checkValue(v any) error {
	if _, ok := v.(map[string]any); !ok {
		return fmt.Errorf("%w: it is no JSON object", pluginapi.ErrInvalid)
	}
	if len(m.ConfigSchema) == 0 {
		return nil
	}
	s, err := compile(m.ConfigSchema)
	if err != nil {
		return err
	}
	if err := s.validate(v); err != nil {
		return broken(err)
	}
	return nil
}

// compile checks what a schema may cost and compiles it. It never loads
// anything.
func compile(text json.RawMessage) (*checkedSchema, error) {
	v, err := decodeJSON(text)
	if err != nil {
		return nil, err
	}
	root, _ := v.(map[string]any)
	c := cost{root: root}
	if err := c.of(v, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", pluginapi.ErrInvalid, err)
	}
	const name = "mem:///config"
	j := jsonschema.NewCompiler()
	j.DefaultDraft(jsonschema.Draft2020)
	j.UseLoader(noLoader{})
	if err := j.AddResource(name, v); err != nil {
		return nil, fmt.Errorf("%w: %w", pluginapi.ErrInvalid, err)
	}
	s, err := j.Compile(name)
	if err != nil {
		return nil, fmt.Errorf("%w: it is no JSON schema: %s", pluginapi.ErrInvalid, shortOf(err))
	}
	return &checkedSchema{s, c}, nil
}

// noLoader refuses to load what a schema names.
type noLoader struct{}

// Load refuses.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%.80q lies outside of the schema", url)
}

// broken turns what the validator says into one error.
func broken(err error) error {
	if errors.Is(err, pluginapi.ErrTooLarge) {
		return err
	}
	return fmt.Errorf("%w: %s", pluginapi.ErrInvalid, shortOf(err))
}

// shortOf lists the places that an error of the schema is about.
func shortOf(err error) string {
	var v *jsonschema.ValidationError
	var s *jsonschema.SchemaValidationError
	if errors.As(err, &s) {
		err = s.Err
	}
	if !errors.As(err, &v) {
		return err.Error()
	}
	lines := leaves(*v.DetailedOutput(), nil)
	slices.Sort(lines) // the validator follows the order of a map
	lines = slices.Compact(lines)
	if len(lines) == 0 {
		return v.Error()
	}
	if len(lines) > maxFaults {
		lines = lines[:maxFaults]
	}
	return strings.Join(lines, "; ")
}

// leaves lists what is wrong without what only follows from it.
func leaves(unit jsonschema.OutputUnit, lines []string) []string {
	for _, u := range unit.Errors {
		lines = leaves(u, lines)
	}
	if len(unit.Errors) > 0 || unit.Error == nil {
		return lines
	}
	at := strings.TrimPrefix(strings.ReplaceAll(unit.InstanceLocation, "/", "."), ".")
	if at == "" {
		at = "the whole"
	}
	return append(lines, fmt.Sprintf("%.200s: %.200s", at, unit.Error.String()))
}

// schema checks the schema, and the default config against it. A default config
// may leave out what the operator has to give.
func (c checker) schema() {
	if len(c.m.ConfigSchema) == 0 {
		return
	}
	s, err := compile(c.m.ConfigSchema)
	if err != nil {
		c.fault("config_schema", "%s", strings.TrimPrefix(err.Error(), pluginapi.ErrInvalid.Error()+": "))
		return
	}
	if len(c.m.Default) == 0 {
		return
	}
	v, err := decodeJSON(c.m.Default)
	if err == nil {
		err = s.validate(v)
	}
	var invalid *jsonschema.ValidationError
	if err != nil && !(errors.As(err, &invalid) && onlyMissing(invalid)) {
		c.fault("config", "breaks config_schema: %s", shortOf(err))
	}
}

// onlyMissing says whether nothing is wrong but that keys are missing.
func onlyMissing(v *jsonschema.ValidationError) bool {
	if len(v.Causes) == 0 {
		_, missing := v.ErrorKind.(*kind.Required)
		return missing
	}
	for _, cause := range v.Causes {
		if !onlyMissing(cause) {
			return false
		}
	}
	return true
}
