package draft

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

func parsed(t interface{ Fatal(...any) }, text string) any {
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSample(t *testing.T) {
	for _, c := range []struct{ schema, want string }{
		{`{"type": "object", "required": ["features"], "properties": {"features": {"type": "array", "minItems": 3, "maxItems": 3,
			"items": [{"type": "number", "minimum": 0, "maximum": 30}, {"type": "number", "minimum": 1, "maximum": 40}, {"type": "number", "minimum": 0, "maximum": 24}]}}}`, `{"features":[15,20,12]}`},
		{`{"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 2}`, `[1,"text"]`},
		{`{"type": "object", "properties": {"a": {"type": "string"}, "id": {"type": "integer", "readOnly": true}}}`, `{"a":"text"}`},
		{`{"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["b"]}`, `{"b":1}`},
		{`{"type": "number", "exclusiveMinimum": true, "minimum": 3}`, `4`},
		{`{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}`, `0.5`},
		{`{"type": "number", "minimum": 0.15, "multipleOf": 0.1}`, `0.2`},
		{`{"type": "integer", "minimum": 7, "multipleOf": 2.5}`, `10`},
		{`{"type": "string", "nullable": true}`, `"text"`},
		{`{"anyOf": [{"type": "null"}, {"type": "integer", "maximum": -3}]}`, `-3`},
		{`{"type": "string", "example": "Lima", "default": "x"}`, `"Lima"`},
		{`{"type": "string", "example": 7, "default": "x", "maxLength": 1}`, `"`},
		{`{"type": "integer", "examples": [4]}`, `4`},
		{`{"enum": ["b", "a"]}`, `"b"`},
		{`{"const": null}`, `null`},
		{`{"type": "string", "format": "date-time"}`, `"2026-01-02T03:04:05Z"`},
		{`{"type": "string", "minLength": 6, "maxLength": 6}`, `"textxx"`},
		{`{"type": "string", "maxLength": 2}`, `"te"`},
		{`{"type": "string", "pattern": "^[A-Z]{2}-\\d+$"}`, `"AA-0"`},
		{`{"type": "string", "pattern": "^[a-z]+$", "minLength": 5}`, `"aaaaa"`},
		{`{"type": "object", "additionalProperties": {"type": "number"}}`, `{"key1":1}`},
		{`{"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 5}], "multipleOf": 2}`, `4`},
		{`{"oneOf": [{"type": "integer"}, {"type": "number"}]}`, `0.5`}, // one of them only
		{`{"not": {"const": "text"}, "type": "string"}`, `"text`},
		{`{"$ref": "#/$defs/node"}`, `{"next":null,"value":1}`},
		{`true`, `"text"`},
		{`{}`, `"text"`},
		{`{"minimum": 2}`, `2`},
	} {
		root := map[string]any{"$defs": modern(parsed(t, `{"node": {"type": "object", "required": ["value", "next"], "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}}`))}
		got, err := Sample(root, modern(parsed(t, c.schema)))
		text := encoded(got)
		switch {
		case err != nil:
			t.Errorf("%s: %v", c.schema, err)
		case strings.Contains(c.schema, "oneOf"), strings.Contains(c.schema, "node"): // whatever it is, it is valid
		case strings.Count(c.want, `"`) == 1 && strings.HasPrefix(text, c.want): // its beginning is enough
		case c.want != text:
			t.Errorf("%s: got %s, want %s", c.schema, text, c.want)
		}
	}
	for _, schema := range []string{`false`, `{"type": "integer", "minimum": 2, "maximum": 1}`, `{"type": "number", "multipleOf": 7, "minimum": 1, "maximum": 6}`, `{"$ref": "#/nowhere"}`, `{"$ref": "#/$defs/a"}`} {
		root := map[string]any{"$defs": map[string]any{"a": map[string]any{"$ref": "#/$defs/a"}}}
		if got, err := Sample(root, parsed(t, schema)); err == nil {
			t.Errorf("%s: got %v", schema, got)
		}
	}
}

// anySchema draws a schema that some value satisfies, in the words of OpenAPI
// 3.0 or 3.1, and of pydantic 1 or 2.
func anySchema(t *rapid.T, depth int) map[string]any {
	kinds := []string{"integer", "number", "string", "boolean", "enum", "any"}
	if depth > 0 {
		kinds = append(kinds, "object", "object", "array", "tuple", "tuple 1", "anyOf", "oneOf", "allOf", "$ref", "nullable", "map")
	}
	number := func(from, to int) json.Number {
		return json.Number(strconv.Itoa(rapid.IntRange(from, to).Draw(t, "n")))
	}
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "integer":
		s := map[string]any{"type": "integer"}
		if rapid.Bool().Draw(t, "bounded") {
			s["minimum"], s["maximum"] = number(-50, 0), number(0, 50)
		} else if rapid.Bool().Draw(t, "open") {
			s["exclusiveMinimum"], s["multipleOf"] = number(-9, 9), number(1, 9)
		}
		return s
	case "number":
		s := map[string]any{"type": "number"}
		switch rapid.IntRange(0, 3).Draw(t, "bounds") {
		case 1:
			s["exclusiveMinimum"], s["exclusiveMaximum"] = number(-3, 0), json.Number("0.5")
		case 2:
			s["minimum"], s["exclusiveMinimum"] = number(-3, 9), true // of OpenAPI 3.0
		case 3:
			s["maximum"], s["multipleOf"] = number(-3, 9), json.Number("0.25")
		}
		return s
	case "string":
		s := map[string]any{"type": "string"}
		switch rapid.IntRange(0, 3).Draw(t, "bounds") {
		case 1:
			s["minLength"], s["maxLength"] = number(0, 9), number(9, 20)
		case 2:
			s["format"] = rapid.SampledFrom([]string{"date-time", "date", "time", "uuid", "email", "uri", "ipv4", "ipv6", "hostname", "duration", "password", "binary"}).Draw(t, "format")
		case 3:
			s["pattern"] = rapid.SampledFrom([]string{`^[a-z]+$`, `^\d{3}-\d{4}$`, `^(red|green)$`, `^[^ ]*x?$`, `[0-9a-f]{8}`, `^\w+@\w+\.com$`}).Draw(t, "pattern")
			s["minLength"] = number(0, 3)
		}
		return s
	case "enum":
		return map[string]any{"enum": []any{"a", json.Number("1"), nil}[:rapid.IntRange(1, 3).Draw(t, "n")]}
	case "object":
		properties, required := map[string]any{}, []any{}
		for i := range rapid.IntRange(0, 4).Draw(t, "properties") {
			name := rapid.SampledFrom([]string{"items", "nullable", "exclusiveMinimum", "a", "b/c~d"}).Draw(t, "name") + strconv.Itoa(i)
			properties[name] = anySchema(t, depth-1)
			if rapid.Bool().Draw(t, "required") {
				required = append(required, name)
			}
		}
		s := map[string]any{"type": "object", "properties": properties, "required": required}
		if rapid.Bool().Draw(t, "closed") {
			s["additionalProperties"] = false
		}
		return s
	case "map":
		return map[string]any{"type": "object", "additionalProperties": anySchema(t, depth-1), "minProperties": number(0, 3)}
	case "array":
		return map[string]any{"type": "array", "items": anySchema(t, depth-1), "minItems": number(0, 2), "maxItems": number(2, 4)}
	case "tuple", "tuple 1":
		of := []any{anySchema(t, depth-1), anySchema(t, depth-1)}
		s := map[string]any{"type": "array", "minItems": json.Number("2"), "maxItems": json.Number("2")}
		s[rapid.SampledFrom([]string{"prefixItems", "items"}).Draw(t, "words")] = of
		return s
	case "anyOf":
		return map[string]any{"anyOf": []any{anySchema(t, depth-1), anySchema(t, depth-1), map[string]any{"type": "null"}}}
	case "oneOf":
		return map[string]any{"oneOf": []any{map[string]any{"type": "null"}, map[string]any{"type": "array", "items": anySchema(t, depth-1)}, map[string]any{"type": "integer"}}}
	case "allOf":
		return map[string]any{"title": "A", "allOf": []any{anySchema(t, depth-1)}}
	case "$ref":
		return map[string]any{"$ref": rapid.SampledFrom([]string{"#/components/schemas/Tree", "#/components/schemas/Point"}).Draw(t, "ref")}
	case "nullable":
		return map[string]any{"type": "string", "nullable": true, "maxLength": number(1, 3)}
	case "boolean":
		return map[string]any{"type": "boolean"}
	default:
		return map[string]any{}
	}
}

const components = `{"components": {"schemas": {
	"Point": {"type": "array", "prefixItems": [{"type": "number"}, {"type": "number", "minimum": 0}], "minItems": 2, "maxItems": 2},
	"Tree": {"type": "object", "required": ["value", "children"], "properties": {"value": {"type": "integer"},
		"children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}}}}}}`

// Whatever the schema, the value that is made is one that it accepts, by a
// validator that knows nothing of how it was made.
func TestASampleIsWhatTheSchemaAccepts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root, _ := modern(parsed(t, components)).(map[string]any)
		schema := modern(anySchema(t, 3))
		got, err := Sample(root, schema)
		if err != nil {
			t.Fatalf("%s: %v", encoded(schema), err)
		}
		root["properties"] = map[string]any{"v": schema}
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		if err := c.AddResource("mem://root", root); err != nil {
			t.Fatal(err)
		}
		// As it is sent: through text.
		value := parsed(t, `{"v": `+encoded(got)+`}`)
		if err := c.MustCompile("mem://root").Validate(value); err != nil {
			t.Fatalf("%s\n%s\n%v", encoded(schema), encoded(got), err)
		}
	})
}
