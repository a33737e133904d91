package experiment

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"
)

//go:generate go test -run ^TestSchema$ -update

// Schema returns the JSON Schema (2020-12) of the experiment file, made from
// the types and tags that [Parse] reads by, so that editors complete and check
// a file. It says less than Parse, which also knows how keys depend on each
// other.
func Schema() ([]byte, error) {
	structs := map[string]reflect.Type{}
	r := jsonschema.Reflector{
		Anonymous:                  true,
		ExpandedStruct:             true,
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true, // there are none: required keys come from the tags of this package
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			if name := scalarName(t); name != "" {
				return &jsonschema.Schema{Ref: "#/$defs/" + name}
			}
			if t.Kind() == reflect.Struct {
				structs[t.Name()] = t
			}
			return nil
		},
	}
	root := r.Reflect(Experiment{})
	images := &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Required: []string{"image"}}, {Required: []string{"cells"}}}}
	for name, t := range structs {
		s := root.Definitions[name]
		if name == "Experiment" {
			s = root
		}
		applyTags(s, t)
		for _, sets := range alternatives[name] {
			one := &jsonschema.Schema{}
			for _, keys := range sets {
				one.OneOf = append(one.OneOf, &jsonschema.Schema{Required: keys})
			}
			if name == "Service" { // its image may stand in the matrix
				some := &jsonschema.Schema{AnyOf: slices.Clone(one.OneOf)}
				one.OneOf = append(one.OneOf, &jsonschema.Schema{Not: some})
				root.AllOf = append(root.AllOf, &jsonschema.Schema{AnyOf: []*jsonschema.Schema{within("service", some), within("matrix", images)}})
			}
			s.AllOf = append(s.AllOf, one)
		}
	}
	maps.Copy(root.Definitions, scalars())
	for name, words := range map[string][]any{"Generator": {"native"}, "Placement": {shared, separate}} {
		root.Definitions[name] = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Enum: words}, {Ref: "#/$defs/Variable"}, root.Definitions[name],
		}}
	}
	delete(root.Definitions, "Experiment") // it is the root
	byLocust := within("generator", &jsonschema.Schema{Type: "object"})
	byLocust.Required = []string{"generator"}
	root.AllOf = append(root.AllOf, &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Required: []string{"request"}}, byLocust}})
	root.Title = "sweep experiment"
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write schema: %w", err)
	}
	return append(text, '\n'), nil
}

// alternatives are the sets of keys of which a struct takes exactly one: for
// some structs that holds of more than one choice.
var alternatives = map[string][][][]string{ //nolint:gochecknoglobals // a table
	"Service": {{{"image"}, {"build"}, {"compose"}, {"container"}}},
	"Compose": {{{"file"}, {"files"}}},
	"Matrix":  {{{"cpus", "memory"}, {"cells"}}},
	"Users":   {{{"target"}, {"rate"}}, {{"ramp"}, {"stages"}, {"stairs"}}},
	"Stage":   {{{"users"}, {"rate"}}},
	"Wait":    {{{"constant"}, {"between"}, {"pacing"}}},
	"Locust":  {{{"file"}, {"url"}}},
}

// within returns the schema of a map in which a key's value fits s.
func within(key string, s *jsonschema.Schema) *jsonschema.Schema {
	properties := jsonschema.NewProperties()
	properties.Set(key, s)
	return &jsonschema.Schema{Properties: properties}
}

// applyTags adds what the tags of struct t say to its schema.
func applyTags(s *jsonschema.Schema, t reflect.Type) {
	for i, key := range keys(t) {
		tag := t.Field(i).Tag
		if tag.Get("required") != "" {
			s.Required = append(s.Required, key)
		}
		property, _ := s.Properties.Get(key)
		property.Description = tag.Get("doc")
		if allowed := list(tag.Get("enum")); len(allowed) > 0 {
			enum := &jsonschema.Schema{}
			for _, name := range allowed {
				enum.Enum = append(enum.Enum, name)
			}
			property.Ref = ""
			property.AnyOf = []*jsonschema.Schema{enum, {Ref: "#/$defs/Variable"}}
		}
	}
}

// scalarName returns the definition of what is one value in a file, or "".
func scalarName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[Value]():
		return "Text"
	case t.PkgPath() != "" && t.Kind() != reflect.Struct && t.Kind() != reflect.Slice:
		return t.Name() // the units: CPUs, Bytes, Duration, Share, Rate
	case t.Kind() == reflect.String:
		return "Text"
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		return "Integer"
	case t.Kind() == reflect.Float64:
		return "Number"
	case t.Kind() == reflect.Bool:
		return "Boolean"
	default:
		return ""
	}
}

// scalars returns the definitions that scalarName names. A quoted number is a
// number, and a variable may become anything; hence the patterns.
func scalars() map[string]*jsonschema.Schema {
	const variable = `\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}`
	one := func(pattern string, s jsonschema.Schema, types ...string) *jsonschema.Schema {
		s.Extras = map[string]any{"type": types}
		s.Pattern = strings.TrimPrefix(pattern+"|"+variable, "|")
		return &s
	}
	return map[string]*jsonschema.Schema{
		"CPUs":      one(`^([0-9]+\.?[0-9]*|\.[0-9]+)$`, jsonschema.Schema{Minimum: "0.01"}, "number", "string"),
		"Bytes":     one(`^[0-9.]+ ?([kKmMgGtTpP]([iI]?[bB])?|[bB])?$`, jsonschema.Schema{ExclusiveMinimum: "0"}, "number", "string"),
		"Duration":  one(`^\+?(0|([0-9.]+(ns|us|µs|ms|s|m|h))+)$`, jsonschema.Schema{Minimum: "0", Maximum: "0"}, "string", "integer"),
		"Share":     one(`^[0-9.]+ *%?$`, jsonschema.Schema{Minimum: "0", Maximum: "1"}, "number", "string"),
		"Rate":      one(`^[0-9]+/s$`, jsonschema.Schema{}, "string"),
		"Boolean":   one(`^(true|false)$`, jsonschema.Schema{}, "boolean", "string"),
		"Integer":   one(`^[+-]?[0-9]+$`, jsonschema.Schema{}, "integer", "string"),
		"Number":    one(`^[+-]?[0-9.]+([eE][+-]?[0-9]+)?$`, jsonschema.Schema{}, "number", "string"),
		"Variable":  one("", jsonschema.Schema{}, "string"),
		"Text":      {Extras: map[string]any{"type": []string{"string", "number", "boolean"}}},
		"Variables": {Type: "object", AdditionalProperties: &jsonschema.Schema{Ref: "#/$defs/Text"}},
	}
}
