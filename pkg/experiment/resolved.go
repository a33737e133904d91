package experiment

import (
	"cmp"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// YAML returns the experiment as a file that [Parse] reads back as it is:
// with the defaults filled in, with variables replaced in everything but
// Values, which are as they were written.
func (e *Experiment) YAML() ([]byte, error) {
	text, err := yaml.Marshal(encode(reflect.ValueOf(*e)))
	if err != nil {
		return nil, fmt.Errorf("write experiment %s: %w", e.Name, err)
	}
	return text, nil
}

// Digest returns a short name, in hexadecimal, of everything that makes a
// measurement what it is: service, request, users, generator and placement, Values as
// written. Trials of experiments with the same digest can stand beside each
// other: matrix, search, objective and price say which trials there are and
// how they are judged, not what is seen in one. What is in a feed is part of
// it by its SHA256.
func (e *Experiment) Digest() string {
	measured := Experiment{Service: e.Service, Request: e.Request, Users: e.Users, Generator: e.Generator, Placement: e.Placement}
	text, err := json.Marshal(encode(reflect.ValueOf(measured)))
	if err != nil {
		panic(err) // encode returns nothing that JSON lacks
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

// encode returns v as maps, lists and scalars under the keys of the file: the
// reverse of decoder.decode.
func encode(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case Value:
		return quote(x.Written)
	case string:
		return quote(escape(x))
	case Variables:
		return encode(reflect.ValueOf(x.Map()))
	case encoding.TextMarshaler:
		text, _ := x.MarshalText() // the units of this package always have a text
		return plain(text)
	case Generator:
		if x.Locust == nil {
			return plain("native")
		}
	case Placement:
		if x.separate {
			return plain(separate)
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		return encode(v.Elem())
	case reflect.Struct:
		return encodeStruct(v)
	case reflect.Map:
		entries := yaml.MapSlice{}
		for it := v.MapRange(); it.Next(); {
			entries = append(entries, yaml.MapItem{Key: it.Key().String(), Value: encode(it.Value())})
		}
		slices.SortFunc(entries, func(a, b yaml.MapItem) int { return cmp.Compare(a.Key.(string), b.Key.(string)) })
		return entries
	case reflect.Slice:
		items := make([]any, v.Len())
		for i := range items {
			items[i] = encode(v.Index(i))
		}
		return items
	default:
		return v.Interface()
	}
}

func encodeStruct(v reflect.Value) yaml.MapSlice {
	fields := yaml.MapSlice{}
	for i := range keys(v.Type()) {
		key, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		field := v.Field(i)
		if other := v.Type().Field(i).Tag.Get("unless"); other != "" && !v.FieldByName(other).IsZero() {
			continue // the file says it by the other key
		}
		empty := field.IsZero() || (field.Kind() == reflect.Map || field.Kind() == reflect.Slice) && field.Len() == 0
		if !empty || !strings.Contains(options, "omitempty") {
			fields = append(fields, yaml.MapItem{Key: key, Value: encode(field)})
		}
	}
	return fields
}

// quote returns s, in quotes if there is more in it than words: the YAML writer
// doesn't know every text that reads back as something else. JSON's quotes are
// YAML's.
func quote(s string) any {
	if words.MatchString(s) {
		return s // the writer quotes what looks like a number or true
	}
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // every text has a form in JSON
	}
	return plain(quoted)
}

var words = regexp.MustCompile(`^[A-Za-z0-9$/]([A-Za-z0-9${}/:._ -]*[A-Za-z0-9}])?$`)

// plain is a scalar in the form that it has in the file.
type plain string

// MarshalYAML returns the text as it is.
func (p plain) MarshalYAML() ([]byte, error) { return []byte(p), nil }
