package experiment

import (
	"fmt"
	"slices"
	"strings"
)

// interpolate replaces ${NAME} and ${NAME:-default} in text by what lookup
// knows; a variable that is empty takes its default, as in Compose. $${ is a
// literal ${, and ${NAME} stays as it is if NAME is in keep. A default is
// plain text up to the next brace. Problems are everything that can't be
// replaced, in words.
func interpolate(text string, keep []string, lookup func(string) (string, bool)) (result string, problems []string) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			out.WriteString(text)
			return out.String(), problems
		}
		if literal, escaped := strings.CutSuffix(before, "$"); escaped {
			out.WriteString(literal + "${")
			text = rest
			continue
		}
		out.WriteString(before)
		inner, after, closed := strings.Cut(rest, "}")
		name, standard, hasDefault := strings.Cut(inner, ":-")
		if !closed || !isVariable(name) {
			problems = append(problems, fmt.Sprintf("%q does not name a variable; write ${NAME} or ${NAME:-default}, or $${ for the text ${", "${"+name[:min(len(name), 20)]))
			out.WriteString("${")
			text = rest
			continue
		}
		text = after
		value, set := lookup(name)
		switch {
		case slices.Contains(keep, name) && !hasDefault:
			out.WriteString("${" + name + "}")
		case hasDefault && value == "":
			out.WriteString(standard)
		case set:
			out.WriteString(value)
		default:
			problems = append(problems, fmt.Sprintf("%s is not set; set it or write ${%[1]s:-default}", name))
		}
	}
}

// escape returns the text that interpolate turns back into s.
func escape(s string) string { return strings.ReplaceAll(s, "${", "$${") }

// isVariable reports whether s may name an environment variable.
func isVariable(s string) bool {
	for i, r := range s {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
