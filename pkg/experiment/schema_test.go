package experiment_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sweep/pkg/experiment"
)

const schemaFile = "../../experiments/schema.json"

func TestSchema(t *testing.T) {
	schema, err := experiment.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, schema, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if stored, err := os.ReadFile(schemaFile); err != nil || string(stored) != string(schema) {
		t.Errorf("experiments/schema.json is stale: run go generate ./pkg/experiment (%v)", err)
	}
}

// TestSchemaAgrees checks files against the schema as an editor does. What
// Parse takes the schema takes; what it can't know it may also take.
func TestSchemaAgrees(t *testing.T) {
	schema := compile(t)
	valid, _ := filepath.Glob("testdata/valid/*.yaml")
	for _, path := range append(valid, "testdata/contract.yaml") {
		src := read(t, path)
		if _, err := experiment.Parse(path, src, environment); err != nil {
			t.Error(err)
		}
		if err := schema.Validate(instance(t, src)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, name := range []string{
		"kinds", "list", "matrix_none", "matrix_half", "missing", "service", "service_none", "text", "users_both", "users_many", "users_none",
	} {
		if err := schema.Validate(instance(t, read(t, "testdata/faults/"+name+".yaml"))); err == nil {
			t.Errorf("%s has no fault by the schema", name)
		}
	}
}

// TestSchemaFinds checks that the schema rejects each single fault by itself.
func TestSchemaFinds(t *testing.T) {
	schema := compile(t)
	for _, change := range []struct{ from, to string }{
		{"version: 1", "version: one"},
		{"name: minimal", "title: minimal"},
		{"image: x", "imge: x"},
		{"image: x", "image: x, container: y"},
		{"port: 80", "port: http"},
		{"cpus: [1]", "cpus: [one]"},
		{"cpus: [1]", "cpus: 1"},
		{"memory: [200M]", "memory: [200X]"},
		{"ramp: 1m", "ramp: 60"},
		{"ramp: 1m", "ramp: 1m, wait: {constant: 1s, pacing: 1s}"},
		{"ramp: 1m", "ramp: 1m, from: moon"},
		{"ramp: 1m", "stages: [{over: 1m}]"},
		{"generator: native", "generator: k6"},
		{"errors: 1%", "errors: 1percent"},
		{"errors: 1%", "error: 1%"},
	} {
		src := string(read(t, "testdata/valid/minimal.yaml"))
		if !strings.Contains(src, change.from) {
			t.Fatalf("%q is not in the file", change.from)
		}
		if err := schema.Validate(instance(t, []byte(strings.Replace(src, change.from, change.to, 1)))); err == nil {
			t.Errorf("the schema takes %q", change.to)
		}
	}
}

// TestSchemaDescribes checks that an editor can explain every key.
func TestSchemaDescribes(t *testing.T) {
	var walk func(path []string, s *jsonschema.Schema)
	seen := map[*jsonschema.Schema]bool{}
	walk = func(path []string, s *jsonschema.Schema) {
		if s == nil || seen[s] {
			return
		}
		seen[s] = true
		walk(path, s.Ref)
		for _, alternative := range s.AnyOf {
			walk(path, alternative)
		}
		for key, property := range s.Properties {
			path := append(slices.Clone(path), key)
			if property.Description == "" {
				t.Errorf("%s has no description", strings.Join(path, "."))
			}
			walk(path, property)
		}
	}
	walk(nil, compile(t))
	if len(seen) < 50 {
		t.Errorf("only %d schemas were seen", len(seen))
	}
}

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := experiment.Schema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// instance reads YAML as an editor does, into JSON's types.
func instance(t *testing.T, src []byte) any {
	t.Helper()
	text, err := yaml.YAMLToJSON(src)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return src
}
