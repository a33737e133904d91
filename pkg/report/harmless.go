package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/clipperhouse/displaywidth"
)

// How much of a text from outside is shown, in characters.
const (
	nameLength = 60
	lineLength = 400
	textLength = 32_000 // of an error, in several lines
)

// Printable makes text from outside fit to be shown: a service's last words, an
// engine's answer, names in a file. Nothing is left in it that moves a cursor,
// colours a terminal or turns the direction of writing; besides what prints
// there are lines and tabs.
func Printable(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\n' || c == '\t':
			return c
		case unicode.IsSpace(c): // a carriage return too, which would hide what stands before it
			return ' '
		case c == unicode.ReplacementChar || !unicode.IsPrint(c):
			return -1
		default:
			return c
		}
	}, strings.ToValidUTF8(s, ""))
}

// Harmless is [Printable], cut where it is very long.
func Harmless(s string) string { return cut(Printable(s), textLength) }

// Line is [Harmless] for a line of a terminal that is width columns wide, at
// least one. Spaces stay as they are.
func Line(s string, width int) string {
	s = strings.Map(func(c rune) rune {
		if c == '\n' || c == '\t' {
			return ' '
		}
		return c
	}, Harmless(s))
	return strings.TrimRight(fit(s, width), " ")
}

// clean is [Harmless] for text within a line: one line, at most limit
// characters.
func clean(s string, limit int) string {
	return cut(strings.Join(strings.Fields(Harmless(s)), " "), limit)
}

// cut returns at most limit characters of s.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	chars := []rune(s)
	if len(chars) <= limit {
		return s
	}
	return strings.TrimSpace(string(chars[:limit-1])) + "…"
}

// fit returns s as wide as width columns of a terminal, at least one: cut, or filled up with
// spaces. Characters may be two columns wide, or none.
func fit(s string, width int) string {
	if displaywidth.String(s) > width {
		s = displaywidth.TruncateString(s, width, "…")
	}
	return s + strings.Repeat(" ", max(0, width-displaywidth.String(s)))
}

// writeJSON writes v for scripts and people, with nothing lost: what [Harmless]
// would leave out is written as an escape.
func writeJSON(w io.Writer, v any) error {
	b := &strings.Builder{}
	enc := json.NewEncoder(b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err //nolint:wrapcheck // says which value
	}
	out := &strings.Builder{}
	for _, c := range b.String() {
		switch high, low := utf16.EncodeRune(c); {
		case c == '\n' || unicode.IsPrint(c):
			out.WriteRune(c)
		case c > 0xffff:
			fmt.Fprintf(out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(out, `\u%04x`, c)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err //nolint:wrapcheck // the writer's own
}
