package experiment

import (
	"maps"
	"slices"
	"strings"
)

// worthHiding is the length from which on a value of the environment is taken
// out of other text: shorter ones ("1", "dev") are no secrets, and occur in
// anything.
const worthHiding = 4

// Redact replaces in text, which may come from the service, what the
// environment gave the experiment by what the file says instead: ${TOKEN}.
func (e *Experiment) Redact(text string) string {
	var pairs []string
	hide := func(values map[string]Value) {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if v := values[name]; v.Resolved != v.Written && len(v.Resolved) >= worthHiding {
				pairs = append(pairs, v.Resolved, v.Written)
			}
		}
	}
	hide(e.Service.Env)
	hide(e.Request.Headers)
	hide(map[string]Value{"body": e.Request.Body})
	return strings.NewReplacer(pairs...).Replace(text)
}
