package draft

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"regexp"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	attempts = 200     // to make a value that the whole schema accepts
	deepest  = 32      // levels that a value may have
	bounded  = 4       // levels from which on only what must be there is made
	largest  = 1 << 12 // characters of a text, or elements of a list
)

// Sample returns a JSON value that the schema accepts; references in it are into
// root, the document that it is from. Examples and defaults of the schema come
// first; else numbers are in the middle of their range and texts are plain. The
// same schema gives the same value. The error is that none was found, not that
// there is none.
//
// Root and schema are in the words of JSON Schema 2020-12 (see modern), their
// numbers of type [json.Number].
func Sample(root, schema any) (any, error) {
	accepts, err := validator(root, schema)
	if err != nil {
		return nil, err
	}
	last := errors.New("it accepts nothing")
	for attempt := range attempts {
		s := &sampler{root: root}
		if attempt > 0 { // the obvious doesn't do: look around it
			s.random = rand.New(rand.NewPCG(1, uint64(attempt))) //nolint:gosec // no secret
		}
		v, err := s.value(schema, 0)
		if err == nil {
			err = accepts(v)
		}
		if err == nil {
			return v, nil
		}
		last = err
	}
	return nil, fmt.Errorf("no value was found that the schema accepts: %w", last)
}

// anything is a regular expression in words that Go doesn't know.
type anything string

// MatchString lets any text pass: the service itself is asked in the end.
func (anything) MatchString(string) bool { return true }

// String returns the expression.
func (a anything) String() string { return string(a) }

func expression(text string) (jsonschema.Regexp, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return anything(text), nil //nolint:nilerr // see anything
	}
	return re, nil
}

// validator returns what says whether a schema accepts a value.
func validator(root, schema any) (func(any) error, error) {
	const here = "urn:document"
	document := map[string]any{}
	if tree, ok := root.(map[string]any); ok {
		document = maps.Clone(tree)
	}
	const at = "sweep-sampled"
	document[at] = schema
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiler.UseRegexpEngine(expression)
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource(here, document); err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	compiled, err := compiler.Compile(here + "#/" + at)
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	return compiled.Validate, nil
}

// sampler makes a value. Without random it makes the obvious choices.
type sampler struct {
	root   any
	random *rand.Rand
}

// choose returns a number from 0 up to n, 0 where that is the obvious choice.
func (s *sampler) choose(n int) int {
	if s.random == nil || n < 2 {
		return 0
	}
	return s.random.IntN(n)
}

var errDeep = errors.New("it never ends")

func (s *sampler) value(schema any, depth int) (any, error) {
	if depth > deepest {
		return nil, errDeep
	}
	if accepts, ok := schema.(bool); ok && !accepts {
		return nil, errors.New("it accepts nothing")
	}
	flat, err := s.flat(schema, depth)
	if err != nil {
		return nil, err
	}
	if v, ok := s.given(flat); ok {
		return v, nil
	}
	switch kind := s.kind(flat, depth); kind {
	case "object":
		return s.object(flat, depth)
	case "array":
		return s.array(flat, depth)
	case "string":
		return s.text(flat)
	case "number", "integer":
		return s.number(flat, kind == "integer")
	case "boolean":
		return s.choose(2) == 0, nil
	case "null":
		return nil, nil
	default:
		return nil, fmt.Errorf("%q is not a type", kind)
	}
}

// flat returns the schema without references and combinations: of alternatives
// it has taken one.
func (s *sampler) flat(schema any, depth int) (map[string]any, error) {
	if depth > deepest {
		return nil, errDeep
	}
	tree, ok := schema.(map[string]any)
	if !ok {
		return map[string]any{}, nil
	}
	out := maps.Clone(tree)
	for _, word := range []string{"$ref", "allOf", "anyOf", "oneOf"} {
		delete(out, word)
	}
	parts := list(tree["allOf"])
	if ref, ok := tree["$ref"].(string); ok {
		part, err := pointed(s.root, ref)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	for _, word := range []string{"anyOf", "oneOf"} {
		if of := list(tree[word]); len(of) > 0 {
			parts = append(parts, of[s.alternative(of, depth)])
		}
	}
	for _, part := range parts {
		more, err := s.flat(part, depth+1)
		if err != nil {
			return nil, err
		}
		out = merged(more, out) // the outer one says it of this very place
	}
	return out, nil
}

// alternative chooses one of the alternatives: the first that isn't null, but
// deep inside null.
func (s *sampler) alternative(of []any, depth int) int {
	isNull := func(v any) bool {
		tree, ok := v.(map[string]any)
		return ok && tree["type"] == "null"
	}
	if i := slices.IndexFunc(of, isNull); i >= 0 && depth >= bounded {
		return i
	}
	if s.random == nil {
		return max(0, slices.IndexFunc(of, func(v any) bool { return !isNull(v) }))
	}
	return s.choose(len(of))
}

// given returns a value that the schema itself names.
func (s *sampler) given(flat map[string]any) (any, bool) {
	if v, ok := flat["const"]; ok {
		return v, true
	}
	var named []any
	if v, ok := flat["example"]; ok {
		named = append(named, v)
	}
	examples, _ := flat["examples"].([]any)
	named = append(named, examples...)
	if v, ok := flat["default"]; ok && v != nil {
		named = append(named, v)
	}
	if len(named) > 0 {
		// What people give as an example need not be one: then none of them.
		if i := s.choose(len(named) + 1); i < len(named) {
			return named[i], true
		}
	}
	if of := list(flat["enum"]); len(of) > 0 {
		return of[s.choose(len(of))], true
	}
	return nil, false
}

// kind returns the type to make. Where the schema has none, what else it says
// tells which is meant.
func (s *sampler) kind(flat map[string]any, depth int) string {
	kinds := slices.Clone(list(flat["type"]))
	if depth >= bounded && slices.Contains(kinds, any("null")) {
		return "null"
	}
	if s.random == nil && len(kinds) > 1 {
		kinds = slices.DeleteFunc(kinds, func(k any) bool { return k == "null" })
	}
	if len(kinds) > 0 {
		return fmt.Sprint(kinds[s.choose(len(kinds))])
	}
	for _, hint := range []struct {
		kind  string
		words []string
	}{
		{"object", []string{"properties", "required", "additionalProperties", "minProperties"}},
		{"array", []string{"items", "prefixItems", "minItems", "maxItems"}},
		{"number", []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
	} {
		for _, word := range hint.words {
			if _, ok := flat[word]; ok {
				return hint.kind
			}
		}
	}
	return "string"
}

// object makes the required properties. Where none is, it makes all that a
// request may have, since an empty object asks for nothing.
func (s *sampler) object(flat map[string]any, depth int) (any, error) {
	properties, _ := flat["properties"].(map[string]any)
	out := map[string]any{}
	required := list(flat["required"])
	for _, r := range required {
		name := fmt.Sprint(r)
		schema, ok := properties[name]
		if !ok {
			schema = extra(flat)
		}
		v, err := s.value(schema, depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = v
	}
	least := count(flat["minProperties"], 0)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		wanted := len(out) < least || depth < bounded && (len(required) == 0 && s.random == nil || s.choose(2) == 1)
		if _, has := out[name]; has || !wanted || readOnly(properties[name]) {
			continue
		}
		if v, err := s.value(properties[name], depth+1); err == nil { // it may as well be left out
			out[name] = v
		}
	}
	if _, isMap := flat["additionalProperties"].(map[string]any); isMap && len(properties) == 0 && depth < bounded {
		least = max(least, 1)
	}
	most := count(flat["maxProperties"], largest)
	for i := 1; len(out) < min(least, most, largest); i++ {
		v, err := s.value(extra(flat), depth+1)
		if err != nil {
			return nil, fmt.Errorf("additional properties: %w", err)
		}
		out[fmt.Sprintf("key%d", i)] = v
	}
	return out, nil
}

// extra returns the schema of properties that an object doesn't name.
func extra(flat map[string]any) any {
	if schema, ok := flat["additionalProperties"]; ok {
		return schema
	}
	return true
}

func readOnly(schema any) bool {
	tree, ok := schema.(map[string]any)
	return ok && tree["readOnly"] == true
}

func (s *sampler) array(flat map[string]any, depth int) (any, error) {
	tuple := list(flat["prefixItems"])
	n := max(count(flat["minItems"], 0), len(tuple))
	if n == 0 && depth < bounded {
		n = 1
	}
	n = min(n+s.choose(3), count(flat["maxItems"], largest), largest)
	rest, ok := flat["items"]
	if !ok {
		rest = true
	}
	if rest == false {
		n = min(n, len(tuple))
	}
	out := []any{}
	for i := range n {
		schema := rest
		if i < len(tuple) {
			schema = tuple[i]
		}
		v, err := s.value(schema, depth+1)
		if err != nil && i >= count(flat["minItems"], 0) && i >= len(tuple) {
			break // it may as well be shorter
		}
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i+1, err)
		}
		out = append(out, v)
	}
	return out, nil
}

// number makes a number within its bounds, in the middle where it has both.
func (s *sampler) number(flat map[string]any, whole bool) (any, error) {
	low, aboveLow := bound(flat, "minimum", "exclusiveMinimum", 1)
	high, belowHigh := bound(flat, "maximum", "exclusiveMaximum", -1)
	step := number(flat["multipleOf"])
	exact := step == nil && !whole // the middle need not be a multiple of anything
	if step == nil || step.Sign() <= 0 {
		step = big.NewRat(1, 1+3*int64(s.choose(2))) // 1, or a quarter
	}
	if whole {
		step = new(big.Rat).SetInt(step.Num()) // the whole ones among the multiples
	}
	fits := func(r *big.Rat) bool {
		return (low == nil || r.Cmp(low) > 0 || !aboveLow && r.Cmp(low) == 0) && (high == nil || r.Cmp(high) < 0 || !belowHigh && r.Cmp(high) == 0)
	}
	middle := s.middle(low, high, step)
	n := multiple(middle, step)
	for _, r := range []*big.Rat{n, new(big.Rat).Add(n, step), new(big.Rat).Sub(n, step)} {
		if fits(r) {
			return decimal(r), nil
		}
	}
	if exact && fits(middle) {
		return decimal(middle), nil
	}
	return nil, errors.New("no number is within its bounds")
}

// bound returns the narrower of two bounds, and whether it excludes itself.
func bound(flat map[string]any, including, excluding string, sign int) (b *big.Rat, excludes bool) {
	b = number(flat[including])
	if x := number(flat[excluding]); x != nil && (b == nil || sign*x.Cmp(b) >= 0) {
		return x, true
	}
	return b, false
}

func (s *sampler) middle(low, high, step *big.Rat) *big.Rat {
	switch {
	case low != nil && high != nil:
		share := big.NewRat(1, 2)
		if s.random != nil {
			share = big.NewRat(int64(s.random.IntN(1025)), 1024)
		}
		width := new(big.Rat).Sub(high, low)
		return width.Add(width.Mul(width, share), low)
	case low != nil:
		return new(big.Rat).Add(low, new(big.Rat).Mul(step, big.NewRat(int64(s.choose(100)), 1)))
	case high != nil:
		return new(big.Rat).Sub(high, new(big.Rat).Mul(step, big.NewRat(int64(s.choose(100)), 1)))
	default:
		return new(big.Rat).Mul(step, big.NewRat(1+int64(s.choose(100)), 1))
	}
}

// multiple returns the greatest multiple of step that is at most r.
func multiple(r, step *big.Rat) *big.Rat {
	q := new(big.Rat).Quo(r, step)
	whole := new(big.Int).Div(q.Num(), q.Denom()) // rounds down
	return q.Mul(q.SetInt(whole), step)
}

// decimal returns a number that has an end as JSON has it.
func decimal(r *big.Rat) json.Number {
	digits, _ := r.FloatPrec()
	return json.Number(r.FloatString(digits))
}
