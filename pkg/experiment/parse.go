package experiment

import (
	"encoding"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds on what Parse reads, because the YAML parser takes time quadratic in
// the number of a file's tokens and memory quadratic in its depth. A text is one
// token: the longest is a body that was recorded.
const (
	maxSize   = 8 * maxBody  // in bytes; quotes make up to four bytes of one
	maxTokens = 8 * maxCells // a cell that was recorded has seven, and at most five more for each thing that it sets
	maxDepth  = 32           // a file that asks something has at most 5
)

// Parse reads an experiment file, fills in the defaults and checks it. The
// name is that of the file, for positions; lookup finds the variables that the
// file names, as [os.LookupEnv] does.
//
// A file that was recorded among results names variables whose values were
// not recorded. To read it, let lookup return "", true.
//
// The error is of type [Faults] and has everything that is wrong at once. Files
// that BodyFile and the like name are not read: they are relative to the
// experiment file and the caller's to read.
func Parse(name string, src []byte, lookup func(string) (string, bool)) (*Experiment, error) {
	d := newDecoder(name, lookup)
	var e Experiment
	if root := d.root(src); root != nil {
		d.decode("", root, reflect.ValueOf(&e).Elem(), "")
		d.check(&e)
	}
	if len(d.faults) > 0 {
		d.faults.sort()
		return nil, d.faults
	}
	e.secrets = d.secrets
	return &e, nil
}

// A decoder walks a syntax tree and the types of this package side by side.
// The tags of the fields steer it: yaml names the key, required and enum say
// what is allowed, keep lists variables that are not replaced.
type decoder struct {
	file    string
	lookup  func(string) (string, bool)
	secrets map[string]string // what Values took from the environment, by name
	at      map[string]Pos    // where each path of the file stands
	bad     map[string]bool   // the paths that could not be decoded; also "list[]" where an element of the list is bad
	faults  Faults
}

func newDecoder(file string, lookup func(string) (string, bool)) *decoder {
	return &decoder{file: file, lookup: lookup, secrets: map[string]string{}, at: map[string]Pos{}, bad: map[string]bool{}}
}

// root returns the content of the only document in src, or nil after a fault.
func (d *decoder) root(src []byte) ast.Node {
	d.at[""] = Pos{File: d.file, Line: 1, Column: 1}
	if len(src) > maxSize {
		d.fault("", fmt.Sprintf("is larger than %d MiB", maxSize>>20))
		return nil
	}
	if !utf8.Valid(src) {
		d.fault("", "is not text in UTF-8")
		return nil
	}
	tokens := lexer.Tokenize(string(src))
	if len(tokens) > maxTokens {
		d.at[""] = d.pos(tokens[maxTokens])
		d.fault("", fmt.Sprintf("has too much in it: more than %d keys, values and signs", maxTokens))
		return nil
	}
	if t := tooDeep(tokens); t != nil {
		d.at[""] = d.pos(t)
		d.fault("", "is nested too deeply")
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		message := err.Error()
		if e, ok := errors.AsType[yaml.Error](err); ok {
			d.at[""], message = d.pos(e.GetToken()), "is not YAML: "+e.GetMessage()
		}
		d.fault("", message)
		return nil
	}
	var root ast.Node
	for _, doc := range file.Docs {
		if root != nil && (doc.Start != nil || doc.Body != nil) {
			d.at[""] = d.pos(doc.Start)
			d.fault("", "a second document begins here; one file asks one question")
			return nil
		}
		if _, directive := doc.Body.(*ast.DirectiveNode); !directive && doc.Body != nil {
			root = doc.Body
		}
	}
	if root == nil {
		d.fault("", "is empty; sweep init writes a file to start from")
	}
	return root
}

// tooDeep returns the first token that is nested deeper than maxDepth, or nil.
// Indentation can't get far within maxSize, for each line repeats it, so that
// brackets count, and what opens one block after another in a single line.
func tooDeep(tokens token.Tokens) *token.Token {
	brackets, blocks, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			blocks, line = 0, t.Position.Line
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			blocks++
		}
		if max(brackets, blocks) > maxDepth {
			return t
		}
	}
	return nil
}

// decode sets v from node n, whose path is given. The tag is that of the field
// which v is, or is an element of.
func (d *decoder) decode(path string, n ast.Node, v reflect.Value, tag reflect.StructTag) {
	if n != nil {
		d.at[path] = d.start(n)
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch n := n.(type) {
	case nil, *ast.NullNode:
		d.fault(path, "has no value; write one or remove the key")
	case *ast.AnchorNode, *ast.AliasNode:
		d.fault(path, "anchors and aliases are not supported; write the value out")
	case *ast.TagNode:
		d.fault(path, "tags such as !!str are not supported; quotes make a text of anything")
	case *ast.MappingNode, *ast.MappingValueNode:
		d.mapping(path, n.(ast.MapNode), v, tag)
	case *ast.SequenceNode:
		d.sequence(path, n, v, tag)
	case *ast.LiteralNode:
		d.scalar(path, n.Value.Value, v, tag)
	case ast.ScalarNode:
		d.scalar(path, n.GetToken().Value, v, tag)
	default:
		d.fault(path, "is not expected here")
	}
}

func (d *decoder) mapping(path string, n ast.MapNode, v reflect.Value, tag reflect.StructTag) {
	switch {
	case v.Type() == reflect.TypeFor[Variables]():
		values := map[string]string{}
		d.mapping(path, n, reflect.ValueOf(&values).Elem(), tag)
		v.Set(reflect.ValueOf(VariablesOf(values)))
	case v.Kind() == reflect.String && glued(n) != "":
		d.fault(path, fmt.Sprintf("is a map to the YAML parser, because it stands between braces; write %q, in quotes", glued(n)))
	case v.Type() == reflect.TypeFor[Value](), v.Kind() != reflect.Struct && v.Kind() != reflect.Map:
		d.mismatch(path, "a map", v.Type())
	case v.Kind() == reflect.Struct:
		d.object(path, n, v)
	default:
		v.Set(reflect.MakeMap(v.Type()))
		for key, value := range d.entries(path, n) {
			element := reflect.New(v.Type().Elem()).Elem()
			d.decode(join(path, key), value, element, tag)
			v.SetMapIndex(reflect.ValueOf(key), element)
		}
	}
}

// glued returns the text that the parser took for a map though no space follows
// its colon, as in {image: [sweep/api:dev]}, or nothing.
func glued(n ast.MapNode) string {
	it := n.MapRange()
	if !it.Next() {
		return ""
	}
	key, value := it.Key().GetToken(), it.Value().GetToken()
	if key.Position.Line != value.Position.Line || value.Position.Column != key.Position.Column+utf8.RuneCountInString(key.Value)+1 {
		return ""
	}
	return key.Value + ":" + value.Value
}

// object decodes a map whose keys are the fields of struct v.
func (d *decoder) object(path string, n ast.MapNode, v reflect.Value) {
	names := keys(v.Type())
	for key, value := range d.entries(path, n) {
		if i := slices.Index(names, key); i >= 0 {
			d.decode(join(path, key), value, v.Field(i), v.Type().Field(i).Tag)
			continue
		}
		message := "is not known here."
		if name := Nearest(key, names); name != "" {
			message = "is not known here; did you mean " + name + "?"
		}
		d.fault(join(path, key), message+" Allowed: "+strings.Join(names, ", "))
	}
	for i, name := range names {
		tag := v.Type().Field(i).Tag
		if tag.Get("required") != "" && !d.given(join(path, name)) {
			d.fault(join(path, name), "is missing: "+tag.Get("doc"))
		}
	}
}

// entries yields the keys and values of a map, and notes where each key
// stands. It reports keys that can't be decoded, and keys that come twice.
func (d *decoder) entries(path string, n ast.MapNode) iter.Seq2[string, ast.Node] {
	return func(yield func(string, ast.Node) bool) {
		seen := map[string]Pos{}
		for it := n.MapRange(); it.Next(); {
			key, pos := it.Key(), d.start(it.Key())
			scalar, ok := key.(ast.ScalarNode)
			if !ok || key.IsMergeKey() || key.Type() == ast.AnchorType || key.Type() == ast.AliasType || key.Type() == ast.TagType {
				d.faults = append(d.faults, Fault{pos, path, "a key must be plain text"})
				continue
			}
			name := scalar.GetToken().Value
			if first, twice := seen[name]; twice {
				d.faults = append(d.faults, Fault{pos, join(path, name), fmt.Sprintf("is given twice, first in line %d", first.Line)})
				continue
			}
			seen[name], d.at[join(path, name)] = pos, pos
			if !yield(name, it.Value()) {
				return
			}
		}
	}
}

func (d *decoder) sequence(path string, n *ast.SequenceNode, v reflect.Value, tag reflect.StructTag) {
	if v.Kind() != reflect.Slice {
		d.mismatch(path, "a list", v.Type())
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Values), len(n.Values)))
	for i, value := range n.Values {
		element := fmt.Sprintf("%s[%d]", path, i)
		d.at[element] = d.at[path] // for an element that is empty
		d.decode(element, value, v.Index(i), tag)
	}
}

func (d *decoder) scalar(path, text string, v reflect.Value, tag reflect.StructTag) {
	used := map[string]string{}
	resolved, problems := interpolate(text, list(tag.Get("keep")), func(name string) (string, bool) {
		value, set := d.lookup(name)
		used[name] = value
		return value, set
	})
	for _, p := range problems {
		d.fault(path, p)
	}
	if len(problems) > 0 {
		return
	}
	var err error
	switch target := v.Addr().Interface().(type) {
	case *Value:
		*target = Value{Written: text, Resolved: resolved}
		maps.Copy(d.secrets, used)
	case encoding.TextUnmarshaler:
		err = target.UnmarshalText([]byte(resolved))
	case *string:
		*target = resolved
		if allowed := list(tag.Get("enum")); len(allowed) > 0 && !slices.Contains(allowed, resolved) {
			err = fmt.Errorf("%q is not allowed; write %s", resolved, strings.Join(allowed, " or "))
		}
	case *int, *int64:
		var i int64
		if i, err = strconv.ParseInt(resolved, 10, v.Type().Bits()); err != nil {
			err = fmt.Errorf("%q is not a whole number", resolved)
		}
		v.SetInt(i)
	case *bool:
		if *target = resolved == "true"; !*target && resolved != "false" {
			err = fmt.Errorf("%q is neither true nor false", resolved)
		}
	case *float64:
		if *target, err = strconv.ParseFloat(resolved, 64); err != nil || math.IsInf(*target, 0) || math.IsNaN(*target) {
			err = fmt.Errorf("%q is not a number", resolved)
		}
	default:
		d.mismatch(path, "a single value", v.Type())
	}
	if err != nil {
		d.fault(path, err.Error())
	}
}

// mismatch reports that the file has a node of another kind than t needs.
func (d *decoder) mismatch(path, got string, t reflect.Type) {
	want := "a single value"
	switch {
	case t.Kind() == reflect.Slice:
		want = "a list"
	case t.Kind() == reflect.Map, t == reflect.TypeFor[Variables]():
		want = "a map of names to values"
	case t.Kind() == reflect.Struct && t != reflect.TypeFor[Value]():
		want = "a map of " + strings.Join(keys(t), ", ")
	}
	d.fault(path, fmt.Sprintf("is %s, but must be %s", got, want))
}

// fault records that path could not be decoded.
func (d *decoder) fault(path, message string) {
	d.bad[path] = true
	for i, r := range path {
		if r == '[' {
			d.bad[path[:i]+"[]"] = true
		}
	}
	d.faults = append(d.faults, Fault{d.where(path), path, message})
}

// given reports whether the file has path.
func (d *decoder) given(path string) bool {
	_, ok := d.at[path]
	return ok
}

// where returns the position of path, or of the nearest map or list around it
// that the file has.
func (d *decoder) where(path string) Pos {
	for !d.given(path) {
		path = parent(path)
	}
	return d.at[path]
}

// start returns where n begins: for a map in block style that is its first
// key, not the colon after it, which the parser takes for its token.
func (d *decoder) start(n ast.Node) Pos {
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return d.pos(m.Values[0].Key.GetToken())
		}
	case *ast.MappingValueNode:
		return d.pos(m.Key.GetToken())
	}
	return d.pos(n.GetToken())
}

func (d *decoder) pos(t *token.Token) Pos {
	if t == nil || t.Position == nil {
		return d.at[""]
	}
	return Pos{File: d.file, Line: t.Position.Line, Column: t.Position.Column}
}

// keys returns the keys that struct type t has in a file, one for each field.
func keys(t reflect.Type) []string {
	var names []string
	for i := 0; i < t.NumField() && t.Field(i).IsExported(); i++ { // what isn't a key stands last
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		names = append(names, name)
	}
	return names
}

// list splits the value of a tag.
func list(tag string) []string {
	return strings.FieldsFunc(tag, func(r rune) bool { return r == ',' })
}

// parent returns the path of the map or list that path is in.
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
