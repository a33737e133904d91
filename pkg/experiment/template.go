package experiment

import (
	"errors"
	"fmt"
	"strings"
)

// A Piece is a part of a template: some text and then, where Field isn't
// empty, a hole that a row of the feed fills.
type Piece struct {
	Text  string
	Field string // of the row
	JSON  bool   // whether it is written as JSON, a text with its quotes
}

// ParseTemplate takes a text apart at its holes: {{name}} is the field name of
// the row, {{json name}} the same as JSON. Text alone, even none, is one piece.
// The error is a hole that doesn't end or names no field.
func ParseTemplate(text string) ([]Piece, error) {
	var pieces []Piece
	for {
		before, rest, found := strings.Cut(text, "{{")
		if !found {
			if text != "" || len(pieces) == 0 {
				pieces = append(pieces, Piece{Text: text})
			}
			return pieces, nil
		}
		hole, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return nil, errors.New("{{ begins a field of the feed, but no }} ends it")
		}
		field, asJSON := strings.CutPrefix(strings.TrimSpace(hole), "json ")
		if field = strings.TrimSpace(field); field == "" || strings.ContainsAny(field, "{}\r\n") {
			return nil, fmt.Errorf("hole %d names no field of the feed; write {{name}} or {{json name}}", len(pieces)+1)
		}
		pieces, text = append(pieces, Piece{Text: before, Field: field, JSON: asJSON}), after
	}
}

// hasHoles reports whether a text has a field of the feed in it.
func hasHoles(text string) bool { return strings.Contains(text, "{{") }
