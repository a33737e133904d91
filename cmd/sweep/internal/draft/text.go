package draft

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode/utf8"
)

// formats are texts of the formats that schemas name.
var formats = map[string]string{ //nolint:gochecknoglobals // a table
	"date-time": "2026-01-02T03:04:05Z", "date": "2026-01-02", "time": "03:04:05Z", "duration": "PT1S",
	"email": "user@example.com", "idn-email": "user@example.com", "hostname": "example.com", "idn-hostname": "example.com",
	"ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "ipvanyaddress": "192.0.2.1",
	"uri": "https://example.com/", "iri": "https://example.com/", "uri-reference": "/", "iri-reference": "/", "uri-template": "/",
	"uuid": "123e4567-e89b-42d3-a456-426614174000", "byte": "dGV4dA==", "base64": "dGV4dA==",
	"json-pointer": "/a", "relative-json-pointer": "0", "regex": "a",
}

// text makes a string. A pattern stands before a format, and both before
// lengths, which only plain text is cut to.
func (s *sampler) text(flat map[string]any) (any, error) {
	least, most := count(flat["minLength"], 0), count(flat["maxLength"], largest)
	if least > largest || least > most {
		return nil, fmt.Errorf("no text is made that has %d to %d characters", least, most)
	}
	if pattern, ok := flat["pattern"].(string); ok {
		if text, err := s.matching(pattern, least); err == nil {
			return text, nil
		}
	}
	if format, ok := formats[fmt.Sprint(flat["format"])]; ok {
		return format, nil
	}
	text := "text"
	if s.random != nil {
		text += strconv.Itoa(s.choose(1000))
	}
	text += strings.Repeat("x", max(0, least-len(text)))
	return text[:min(len(text), most)], nil
}

// matching makes a text that a regular expression matches, with at least so many
// characters where a repetition can be made as long.
func (s *sampler) matching(pattern string, least int) (string, error) {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return "", fmt.Errorf("pattern %q: %w", pattern, err)
	}
	var out strings.Builder
	if err := s.match(&out, tree.Simplify(), least); err != nil {
		return "", fmt.Errorf("pattern %q: %w", pattern, err)
	}
	if short := least - utf8.RuneCountInString(out.String()); short > 0 && !strings.HasSuffix(pattern, "$") {
		out.WriteString(strings.Repeat("x", short))
	}
	return out.String(), nil
}

func (s *sampler) match(out *strings.Builder, re *syntax.Regexp, least int) error {
	repeat := func(times int) error {
		for range times {
			if err := s.match(out, re.Sub[0], least); err != nil {
				return err
			}
		}
		return nil
	}
	switch re.Op { //nolint:exhaustive // see default
	case syntax.OpLiteral:
		out.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		return s.oneOf(out, re.Rune)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		out.WriteByte('a')
	case syntax.OpCapture:
		return s.match(out, re.Sub[0], least)
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if err := s.match(out, sub, least); err != nil {
				return err
			}
		}
	case syntax.OpAlternate:
		return s.match(out, re.Sub[s.choose(len(re.Sub))], least)
	case syntax.OpQuest:
		return repeat(s.choose(2))
	case syntax.OpStar, syntax.OpPlus:
		if out.Len() > largest {
			return errors.New("it is too long")
		}
		return repeat(max(1, least-s.choose(least+1), s.choose(4)))
	case syntax.OpNoMatch:
		return errors.New("it matches nothing")
	default: // a place in the text, so that there is nothing to write; repetitions with numbers are simplified away
	}
	return nil
}

// oneOf writes a character of a class, given as pairs of first and last: a
// letter or digit where it has one that is printable.
func (s *sampler) oneOf(out *strings.Builder, class []rune) error {
	if len(class) == 0 {
		return errors.New("it matches nothing")
	}
	for _, plain := range "a0A" {
		for i := 0; i+1 < len(class); i += 2 {
			if s.random == nil && class[i] <= plain && plain <= class[i+1] {
				out.WriteRune(plain)
				return nil
			}
		}
	}
	i := 2 * s.choose(len(class)/2)
	first, last := class[i], class[i+1]
	if first < ' ' && last >= ' ' {
		first = ' '
	}
	out.WriteRune(first + rune(s.choose(int(min(last-first, 90))+1)))
	return nil
}
