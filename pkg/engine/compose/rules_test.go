package compose

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"pgregory.net/rapid"
)

// tables are the rules, and of what.
var tables = []struct {
	name  string
	of    reflect.Type
	rules map[string]rule
}{
	{"service", reflect.TypeFor[types.ServiceConfig](), serviceRules},
	{"build", reflect.TypeFor[types.BuildConfig](), buildRules},
	{"network", reflect.TypeFor[types.NetworkConfig](), networkRules},
	{"volume", reflect.TypeFor[types.VolumeConfig](), volumeRules},
	{"secret", reflect.TypeFor[types.SecretConfig](), fileRules},
	{"config", reflect.TypeFor[types.ConfigObjConfig](), fileRules},
}

// paths returns the paths of all keys that a type has, but for those inside
// what has no rule or isn't looked into.
func paths(t reflect.Type, path string, rules map[string]rule) []string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		return paths(t.Elem(), path, rules)
	case reflect.Struct:
	default:
		return nil
	}
	var out []string
	for field := range t.Fields() {
		name, inline := key(field)
		switch {
		case inline:
			out = append(out, paths(field.Type, path, rules)...)
		case name != "":
			at := join(path, name)
			out = append(out, at)
			if rules[at].verdict == honoured {
				out = append(out, paths(field.Type, at, rules)...)
			}
		}
	}
	return out
}

// A key that compose-go learns fails this test, and is refused meanwhile.
func TestEachKeyHasARule(t *testing.T) {
	for _, table := range tables {
		all := paths(table.of, "", table.rules)
		for _, path := range all {
			if r, known := table.rules[path]; !known {
				t.Errorf("%s: %s has no rule", table.name, path)
			} else if (r.verdict == honoured) != (r.why == "") {
				t.Errorf("%s: the rule of %s has the reason %q", table.name, path, r.why)
			}
		}
		for path := range table.rules {
			if !slices.Contains(all, path) {
				t.Errorf("%s: %s has a rule, but there is no such key", table.name, path)
			}
		}
		if len(all) < 5 {
			t.Errorf("%s: only %d keys were found", table.name, len(all))
		}
	}
}

// fill makes a value of a type that isn't empty, with all that can be in it.
func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth)
	case reflect.Map:
		element := reflect.New(v.Type().Elem()).Elem()
		fill(element, depth)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("k").Convert(v.Type().Key()), element)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Struct:
		if depth == 0 {
			return
		}
		for field, value := range v.Fields() {
			if _, inline := key(field); field.IsExported() && (inline || field.Tag.Get("yaml") != "-") {
				fill(value, depth-1)
			}
		}
	default: // an interface: there is nothing to put into it
	}
}

// Whatever keys a service has, each that must be refused is, by its name, and
// no other.
func TestRefusedIsWhatTheRulesRefuse(t *testing.T) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(serviceRules)), func(path string) bool { return strings.Contains(path, ".") })
	rapid.Check(t, func(t *rapid.T) {
		chosen := rapid.SliceOfDistinct(rapid.SampledFrom(names), func(s string) string { return s }).Draw(t, "keys")
		var s types.ServiceConfig
		set(reflect.ValueOf(&s).Elem(), chosen)
		want := map[string]bool{}
		for _, path := range paths(reflect.TypeFor[types.ServiceConfig](), "", serviceRules) {
			top, _, _ := strings.Cut(path, ".")
			if slices.Contains(chosen, top) && serviceRules[path].verdict == refused {
				want[path] = true
			}
		}
		got := map[string]bool{}
		for _, r := range inspect("services.api", s, serviceRules).refused {
			place, _, _ := strings.Cut(r, ": ")
			got[plain(strings.TrimPrefix(place, "services.api."))] = true
		}
		if !maps.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// plain takes the author's names and the indices out of a place.
func plain(place string) string {
	var out []string
	for part := range strings.SplitSeq(place, ".") {
		part, _, _ = strings.Cut(part, "[")
		if part != "k" {
			out = append(out, part)
		}
	}
	return strings.Join(out, ".")
}

// set fills those fields of a struct whose keys are chosen.
func set(v reflect.Value, chosen []string) {
	for field, value := range v.Fields() {
		name, inline := key(field)
		if inline {
			set(value, chosen)
		} else if slices.Contains(chosen, name) {
			fill(value, 8)
		}
	}
}

func TestAKeyWithoutARuleIsRefused(t *testing.T) {
	type tomorrow struct {
		types.ServiceConfig `yaml:",inline"`
		Quantum             string `yaml:"quantum"`
	}
	got := inspect("services.api", tomorrow{Quantum: "x"}, serviceRules).refused
	if len(got) != 1 || got[0] != "services.api.quantum: sweep doesn't know this key" {
		t.Errorf("got %q", got)
	}
}
