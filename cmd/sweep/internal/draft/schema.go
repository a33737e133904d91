package draft

import (
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strings"
)

// modern rewrites what OpenAPI 3.0 and pydantic 1 say in words of their own as
// JSON Schema 2020-12, in which OpenAPI 3.1 and pydantic 2 speak. What is no
// schema, such as an example, stays as it is.
func modern(node any) any {
	switch n := node.(type) {
	case []any:
		out := make([]any, len(n))
		for i, v := range n {
			out[i] = modern(v)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for key, value := range n {
			switch key {
			case "example", "examples", "default", "enum", "const":
				out[key] = value
			default:
				out[key] = modern(value)
			}
		}
		renew(out)
		return out
	default:
		return node
	}
}

// renew rewrites the words of one schema. Their types tell them from
// properties that have the same names.
func renew(s map[string]any) {
	if list, ok := s["items"].([]any); ok { // a tuple
		s["prefixItems"] = list
		delete(s, "items")
		if rest, ok := s["additionalItems"]; ok {
			s["items"] = rest
			delete(s, "additionalItems")
		}
	}
	if nullable, ok := s["nullable"].(bool); ok {
		delete(s, "nullable")
		if kind, ok := s["type"].(string); ok && nullable {
			s["type"] = []any{kind, "null"}
		}
	}
	for exclusive, bound := range map[string]string{"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"} {
		excludes, ok := s[exclusive].(bool)
		if !ok {
			continue
		}
		delete(s, exclusive)
		if limit, has := s[bound]; excludes && has {
			s[exclusive] = limit
			delete(s, bound)
		}
	}
}

// merged returns what a value has to be that is both a and b. Where there is no
// simple word for it, the later one stands; the whole is checked in the end.
func merged(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	for key, value := range b {
		have, both := out[key]
		if !both {
			out[key] = value
			continue
		}
		out[key] = joined(key, have, value)
	}
	return out
}

func joined(key string, a, b any) any {
	switch key {
	case "properties":
		return joinedProperties(a, b)
	case "required":
		return union(a, b)
	case "enum", "type":
		return common(a, b)
	case "minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties":
		return extreme(a, b, 1)
	case "maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties":
		return extreme(a, b, -1)
	case "items", "additionalProperties":
		return map[string]any{"allOf": []any{a, b}}
	default:
		return b
	}
}

func joinedProperties(a, b any) any {
	all, _ := a.(map[string]any)
	all = maps.Clone(all)
	more, _ := b.(map[string]any)
	for name, s := range more {
		if have, ok := all[name]; ok {
			s = map[string]any{"allOf": []any{have, s}}
		}
		all[name] = s
	}
	return all
}

func union(a, b any) any {
	out := slices.Clone(list(a))
	for _, v := range list(b) {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func common(a, b any) any {
	inB := map[string]bool{}
	for _, v := range list(b) {
		inB[fmt.Sprint(v)] = true
	}
	return slices.DeleteFunc(slices.Clone(list(a)), func(v any) bool { return !inB[fmt.Sprint(v)] })
}

// extreme returns the greater of two numbers, or with sign -1 the less.
func extreme(a, b any, sign int) any {
	x, y := number(a), number(b)
	if x == nil || y != nil && sign*y.Cmp(x) > 0 {
		return b
	}
	return a
}

// list returns what is in a list; a single value is a list of one.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// longest is how many characters a number may have. Longer ones aren't meant,
// and those with a huge exponent would fill the memory.
const longest = 40

// number returns a number of a document, nil where v is none.
func number(v any) *big.Rat {
	text := fmt.Sprint(v)
	_, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	if len(text) > longest || len(exponent) > 4 {
		return nil
	}
	r, ok := new(big.Rat).SetString(text)
	if _, isText := v.(string); !ok || isText {
		return nil
	}
	return r
}

// count returns a whole number of a document that isn't negative, or otherwise.
func count(v any, otherwise int) int {
	if r := number(v); r != nil && r.IsInt() && r.Sign() >= 0 && r.Num().IsInt64() {
		return int(r.Num().Int64())
	}
	return otherwise
}

// pointed returns what a reference within the document names: "#/a/b".
func pointed(root any, ref string) (any, error) {
	path, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil, fmt.Errorf("%s is in another document", ref)
	}
	node := root
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if part == "" {
			continue
		}
		if plain, err := url.PathUnescape(part); err == nil {
			part = plain
		}
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		tree, ok := node.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s names nothing", ref)
		}
		if node, ok = tree[part]; !ok {
			return nil, fmt.Errorf("%s names nothing", ref)
		}
	}
	return node, nil
}

func sorted(tree map[string]any) []string { return slices.Sorted(maps.Keys(tree)) }
