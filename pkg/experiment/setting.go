package experiment

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Setting is what a cell sets besides its limits: variables of the service's
// environment, or its image. It is comparable. The zero value sets nothing:
// then the service is as it is.
//
// It is part of [Limits], so that all that is keyed by a cell tells settings
// apart. More resources never carrying less is assumed within one setting
// alone ([Limits.Within]); between two of them nothing is: four workers may
// carry more than two, or less.
type Setting struct {
	Env   Variables
	Image string
}

// longest is how much of a value people are shown, in characters.
const longest = 40

// String returns the form that people read: "WORKERS=2 and image x:slim".
func (s Setting) String() string {
	var parts []string
	for name, value := range s.Env.sorted {
		switch chars := []rune(value); {
		case len(chars) > longest:
			value = strconv.Quote(string(chars[:longest-1]) + "…")
		case odd(value, " ,;()\"'\\") || value == "":
			value = strconv.Quote(value)
		}
		parts = append(parts, name+"="+value)
	}
	if s.Image != "" {
		parts = append(parts, "image "+told(s.Image))
	}
	if n := len(parts); n > 1 {
		parts = append(parts[:n-2], parts[n-2]+" and "+parts[n-1])
	}
	return strings.Join(parts, ", ")
}

// longestImage is how much of an image's name people are shown.
const longestImage = 200

// told is an image's name as people are shown it: what can't be one is quoted.
func told(image string) string {
	if chars := []rune(image); len(chars) > longestImage {
		image = string(chars[:longestImage-1]) + "…"
	}
	if odd(image, " \"\\") {
		return strconv.Quote(image)
	}
	return image
}

// odd reports whether a text has any of some characters in it, or one that
// isn't ASCII or doesn't print.
func odd(text, chars string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' || r >= 0x7f || strings.ContainsRune(chars, r)
	})
}

// longestSlug is how many characters of a setting a file's name has.
const longestSlug = 40

// Slug returns the form that file names use: "WORKERS=2". Of a setting that is
// long, or has more in it than letters, digits, dots and underscores, it is
// what can be kept and a part of its SHA-256, so that no two have the same.
func (s Setting) Slug() string {
	var parts []string
	strange := s.Image != ""
	for name, value := range s.Env.sorted {
		strange = strange || !isPlain(name) || !isPlain(value)
		parts = append(parts, name+"="+value)
	}
	if s.Image != "" {
		parts = append(parts, s.Image)
	}
	text := strings.Join(parts, "-")
	if !strange && len(text) <= longestSlug {
		return text
	}
	text = strings.Map(func(r rune) rune {
		if r == '=' || r == '-' || isPlain(string(r)) {
			return r
		}
		return '_'
	}, text)
	sum := sha256.Sum256([]byte(string(s.Env) + "\n" + s.Image))
	return text[:min(len(text), longestSlug)] + "-" + hex.EncodeToString(sum[:4])
}

func isPlain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '.' && r != '_'
	})
}

// Compare orders settings by their variables, numbers by their size, then by
// the image. It is 0 for equal ones alone.
func (s Setting) Compare(t Setting) int {
	return cmp.Or(s.Env.compare(t.Env), cmp.Compare(s.Image, t.Image))
}

// Variables are environment variables and their values. They are comparable: a
// JSON object in the order of the names, or nothing.
type Variables string

// VariablesOf returns these variables.
func VariablesOf(values map[string]string) Variables {
	if len(values) == 0 {
		return ""
	}
	text, err := json.Marshal(values)
	if err != nil {
		panic(err) // every text has a form in JSON
	}
	return Variables(text)
}

// Map returns the values by the names, nil where there are none.
func (v Variables) Map() map[string]string {
	if v == "" {
		return nil
	}
	var values map[string]string
	if err := json.Unmarshal([]byte(v), &values); err != nil {
		panic(err) // they are made by VariablesOf
	}
	return values
}

// sorted yields names and values in the order of names.
func (v Variables) sorted(yield func(name, value string) bool) {
	values := v.Map()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !yield(name, values[name]) {
			return
		}
	}
}

func (v Variables) compare(w Variables) int {
	if v == w {
		return 0
	}
	mine, theirs := v.Map(), w.Map()
	names, others := slices.Sorted(maps.Keys(mine)), slices.Sorted(maps.Keys(theirs))
	if order := slices.Compare(names, others); order != 0 {
		return order
	}
	for _, name := range names {
		if order := compareValues(mine[name], theirs[name]); order != 0 {
			return order
		}
	}
	return 0
}

// compareValues orders numbers by their size, and before all other texts.
func compareValues(a, b string) int {
	x, errA := strconv.ParseFloat(a, 64)
	y, errB := strconv.ParseFloat(b, 64)
	switch {
	case errA == nil && errB == nil:
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
	case errA == nil:
		return -1
	case errB == nil:
		return 1
	default:
		return cmp.Compare(a, b)
	}
}

// MarshalJSON writes v as a JSON object.
func (v Variables) MarshalJSON() ([]byte, error) {
	if v == "" {
		return []byte("{}"), nil
	}
	return []byte(v), nil
}

// UnmarshalJSON reads a JSON object of texts.
func (v *Variables) UnmarshalJSON(text []byte) error {
	var values map[string]string
	if err := json.Unmarshal(text, &values); err != nil {
		return fmt.Errorf("%q are not variables and their values", text)
	}
	*v = VariablesOf(values)
	return nil
}

// Setting returns what l sets besides the limits.
func (l Limits) Setting() Setting { return Setting{l.Env, l.Image} }

// Bare returns l without its setting: CPUs and memory alone.
func (l Limits) Bare() Limits { return Limits{CPU: l.CPU, Memory: l.Memory} }

// Environment returns the variables that l sets, with ${cpus} and
// ${memory_bytes} replaced by the limits.
func (l Limits) Environment() map[string]string {
	values := l.Env.Map()
	for name, value := range values {
		values[name] = under(value, l)
	}
	return values
}

// Compare orders cells by CPUs, then memory, then setting. It is 0 for equal
// ones alone.
func (l Limits) Compare(m Limits) int {
	if order := cmp.Or(cmp.Compare(l.CPU, m.CPU), cmp.Compare(l.Memory, m.Memory)); order != 0 {
		return order
	}
	return l.Setting().Compare(m.Setting())
}

// matches reports whether l is of pattern: has its limits, and of its setting
// all that the pattern names.
func (l Limits) matches(pattern Limits) bool {
	if l.Bare() != pattern.Bare() || pattern.Image != "" && l.Image != pattern.Image {
		return false
	}
	mine := l.Env.Map()
	for name, value := range pattern.Env.Map() {
		if got, ok := mine[name]; !ok || got != value {
			return false
		}
	}
	return true
}

// settings returns every setting of the axes, one that sets nothing where there
// are none.
func (m Matrix) settings() []Setting {
	all := []map[string]string{{}}
	for _, name := range slices.Sorted(maps.Keys(m.Env)) {
		var more []map[string]string
		for _, before := range all {
			for _, value := range m.Env[name] {
				values := maps.Clone(before)
				values[name] = value
				more = append(more, values)
			}
		}
		all = more
	}
	images := m.Images
	if len(images) == 0 {
		images = []string{""}
	}
	var out []Setting
	for _, values := range all {
		for _, image := range images {
			out = append(out, Setting{VariablesOf(values), image})
		}
	}
	return out
}

// Images returns the names of the images that the cells are started from, each
// once: that of the service, or those of the matrix.
func (e *Experiment) Images() []string {
	var out []string
	for _, l := range e.Matrix.Cells() {
		if image := cmp.Or(l.Image, e.Service.Image); image != "" && !slices.Contains(out, image) {
			out = append(out, image)
		}
	}
	return out
}
