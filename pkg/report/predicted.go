package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// predicted returns what a model says of a cell that wasn't measured, or nil.
func (r Run) predicted(c analysis.Cell) *analysis.Prediction {
	if c.Measured || r.model(c) == nil {
		return nil
	}
	return c.Predicted
}

// model returns what was learnt from cells with the setting of c, or nil.
func (r Run) model(c analysis.Cell) *analysis.Model {
	return r.Surface.Models[c.Trial.Limits.Setting()]
}

// promised reports whether a trusted model says what a cell carries of which
// neither a start nor an inference tells.
func (r Run) promised(c analysis.Cell) bool {
	return r.predicted(c) != nil && r.model(c).Trusted && c.Inferred == ""
}

// about rounds a prediction down to two digits: it knows no more, and what
// doesn't reach the target mustn't look as if it did.
func about(n int) int {
	step := 1
	for n/step >= 100 {
		step *= 10
	}
	return n / step * step
}

// foretells says in small words what is predicted of a cell, or nothing. Of a
// model that isn't trusted it is no number, but how far it may be off.
func (r Run) foretells(c analysis.Cell) string {
	p := r.predicted(c)
	switch {
	case p == nil:
		return ""
	case r.model(c).Trusted:
		return fmt.Sprintf("predicted about %s %s, %s", analysis.Thousands(about(p.Users)), r.unit(), plain(string(p.Bound)))
	default:
		return fmt.Sprintf("perhaps %s to %s %s, %s", analysis.Thousands(about(p.Low)), analysis.Thousands(about(p.High)), r.unit(), plain(string(p.Bound)))
	}
}

// foretold says what was learnt from the measured cells: the model and how far
// it errs, what it makes of the others, and where throughput has its peak.
func (r Run) foretold() []string {
	var out []string
	for _, setting := range analysis.Settings(r.Surface.Cells) {
		alike := analysis.Of(r.Surface.Cells, setting)
		if m := r.Surface.Models[setting]; m != nil {
			out = append(out, ofSetting(setting, costs(*m)))
			if slices.ContainsFunc(alike, func(c analysis.Cell) bool { return !c.Measured }) {
				out = append(out, ofSetting(setting, trust(*m)))
			}
		} else if slices.ContainsFunc(alike, func(c analysis.Cell) bool { return c.Scaling != nil }) {
			out = append(out, ofSetting(setting, "No model: too few seconds are known, or the CPU that was used doesn't follow the answers"))
		}
	}
	for _, c := range r.Surface.Cells {
		p := r.predicted(c)
		if p == nil {
			continue
		}
		line := fmt.Sprintf("%s: not measured, %s", named(c.Trial.Limits), r.foretells(c))
		if r.model(c).Trusted {
			line += fmt.Sprintf(" (%s to %s)", analysis.Thousands(p.Low), analysis.Thousands(p.High))
		}
		out = append(out, line)
	}
	return append(out, r.peaks()...)
}

// ofSetting says of which setting a sentence is, where there is one.
func ofSetting(s experiment.Setting, sentence string) string {
	if s == (experiment.Setting{}) {
		return sentence
	}
	return clean(s.String(), lineLength) + ": " + strings.ToLower(sentence[:1]) + sentence[1:]
}

// costs says what an answer takes, and a user or request.
func costs(m analysis.Model) string {
	text := "An answer takes " + digit3(1000*m.Demand) + "ms of CPU"
	if m.Idle >= 0.001 {
		text += ", besides " + digit3(m.Idle) + " CPU without load"
	}
	if m.Each < 1 {
		return text + "; memory doesn't grow with the load"
	}
	text += "; memory grows by " + amount(m.Each) + " for each " + string(m.Per)
	if m.Base >= 1 {
		text += ", from " + amount(m.Base)
	}
	return text
}

// trust says how far the model errs, as far as that is known.
func trust(m analysis.Model) string {
	var parts []string
	if m.Tried > 0 {
		parts = append(parts, fmt.Sprintf("Predicted from the others, %s: the mean error is %s, the greatest %s", cellsThat(m.Tried), percent(m.Error), percent(m.Worst)))
	}
	if m.Trusted {
		return strings.Join(append(parts, "the model is trusted with the order of trials, and with nothing else"), "; ")
	}
	return strings.Join(append(parts, "the model isn't trusted: "+m.Doubt), "; ")
}

func cellsThat(n int) string {
	if n == 1 {
		return "1 measured cell that fails"
	}
	return fmt.Sprintf("%d measured cells that fail", n)
}

// peaks says at which concurrency cells answer most, and of which that isn't
// told.
func (r Run) peaks() []string {
	var out, whys []string
	refused := map[string][]string{}
	for _, c := range r.Surface.Cells {
		s := c.Scaling
		switch {
		case s == nil:
		case s.Refused == "":
			out = append(out, fmt.Sprintf("%s answers most with about %s requests at a time (%s to %s): %s/s (%s to %s), by the Universal Scalability Law over %d levels",
				named(c.Trial.Limits), number(s.Peak.Value), number(s.Peak.Low), number(s.Peak.High),
				number(s.Throughput.Value), number(s.Throughput.Low), number(s.Throughput.High), s.Levels))
		default:
			if refused[s.Refused] == nil {
				whys = append(whys, s.Refused)
			}
			refused[s.Refused] = append(refused[s.Refused], named(c.Trial.Limits))
		}
	}
	for _, why := range whys {
		out = append(out, fmt.Sprintf("No curve of scalability of %s: %s", strings.Join(refused[why], ", "), why))
	}
	return out
}

// amount writes an amount of memory for people.
func amount(n float64) string {
	if n < float64(experiment.MiB) {
		return digit3(n/1024) + " KiB"
	}
	return digit3(n/float64(experiment.MiB)) + " MiB"
}

// digit3 writes x to three digits, without an exponent.
func digit3(x float64) string {
	if x == 0 {
		return "0"
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(x))))
	return digits(math.Round(x*scale) / scale)
}

// percent writes a share in whole hundredths.
func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }
