package experiment

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// worthHiding is the length from which on a value of the environment is taken
// out of other text: shorter ones ("1", "dev") are no secrets, and occur in
// anything.
const worthHiding = 4

// Redact replaces in text, which may come from the service, what the
// environment gave the experiment's Values by its name: ${TOKEN}. Where one
// value is part of another, the longer one goes first.
func (e *Experiment) Redact(text string) string {
	names := slices.SortedFunc(maps.Keys(e.secrets), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(e.secrets[b]), len(e.secrets[a])), cmp.Compare(a, b))
	})
	for _, name := range names {
		if value := e.secrets[name]; len(value) >= worthHiding {
			text = strings.ReplaceAll(text, value, "${"+name+"}")
		}
	}
	return text
}
