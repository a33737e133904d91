package analysis

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"sweep/pkg/experiment"
)

// Metric is a number that a night has.
type Metric string

// The metrics, at the cell that is checked.
const (
	MetricCapacity   Metric = "capacity"                // users of the last pass
	MetricThroughput Metric = "throughput"              // right answers a second
	MetricP99        Metric = "p99_ms"                  // milliseconds
	MetricCPU        Metric = "cpu_seconds_per_request" // CPU seconds
	MetricMemory     Metric = "peak_memory_bytes"       // bytes
)

// Metrics returns all metrics.
func Metrics() []Metric {
	return []Metric{MetricCapacity, MetricThroughput, MetricP99, MetricCPU, MetricMemory}
}

// Of returns a night's value, or false where it isn't known.
func (m Metric) Of(n Night) (value float64, known bool) {
	if m == MetricCapacity {
		if c := n.Capacity(); c != nil && c.LastPass != nil {
			value = float64(*c.LastPass)
		}
		return value, value > 0
	}
	if n.Metrics == nil {
		return 0, false
	}
	switch m {
	case MetricThroughput:
		value = n.Metrics.Throughput
	case MetricP99:
		value = n.Metrics.P99
	case MetricCPU:
		value = n.Metrics.CPUSecondsPerRequest
	case MetricMemory:
		value = n.Metrics.PeakMemory
	case MetricCapacity:
	}
	return value, value > 0
}

// Trend is the history of one experiment.
type Trend struct {
	Experiment string
	Nights     []Night // by time
	Spells     []Spell // by metric, then machine, then time
	Shifts     []Shift // by time
	Turns      []Turn  // by time
}

// Spell is a stretch of nights between two changes of a metric, of one machine,
// question and cell: what can be compared. Nights that say nothing aren't in it.
type Spell struct {
	Metric Metric
	Nights []int // indices into the trend's nights; at least one
	Median float64
	Noise  float64 // what is within this share of the median is noise: 5 %, or from ten nights on three times the median deviation
}

// Shift is a change of a metric: notable, never a verdict.
type Shift struct {
	Metric Metric
	Night  int // the first after it, an index into the trend's nights
	Change
}

// Worse reports whether the service costs more, or carries less.
func (s Shift) Worse() bool {
	less := s.After < s.Before
	if s.Metric == MetricCapacity || s.Metric == MetricThroughput {
		return less
	}
	return !less
}

// Turn is a night from which on another thing was checked on its machine, so
// that what comes later can't be compared with what was before.
type Turn struct {
	Night   int // an index into the trend's nights
	Cell    bool
	Minimal experiment.Limits // the cell that is checked from here on
}

// basis is what nights have in common that can be compared.
type basis struct {
	machine, question string
	cell              experiment.Limits
}

func (n Night) basis() basis {
	return basis{n.Host.Fingerprint, n.Question, n.Minimal}
}

// Trends returns the history of each experiment, by name. Of nights that say
// they are the same run the last one counts, so that a night that was kept twice
// is one.
func Trends(nights []Night) []Trend {
	type name struct{ experiment, run string }
	last := map[name]int{}
	for i, n := range nights {
		last[name{n.Experiment, n.Run}] = i
	}
	by := map[string][]Night{}
	for i, n := range nights {
		if n.Run == "" || last[name{n.Experiment, n.Run}] == i {
			by[n.Experiment] = append(by[n.Experiment], n)
		}
	}
	var out []Trend
	for _, e := range slices.Sorted(maps.Keys(by)) {
		out = append(out, trendOf(e, by[e]))
	}
	return out
}

func trendOf(name string, nights []Night) Trend {
	slices.SortStableFunc(nights, func(a, b Night) int { return a.Time.Compare(b.Time) })
	t := Trend{Experiment: name, Nights: nights, Turns: turns(nights)}
	for _, m := range Metrics() {
		for _, series := range alike(nights, m) {
			t.follow(m, series)
		}
	}
	slices.SortStableFunc(t.Shifts, func(a, b Shift) int { return cmp.Compare(a.Night, b.Night) })
	return t
}

// alike returns the nights that have a metric and say something, apart by what
// can be compared, in the order of their first nights.
func alike(nights []Night, m Metric) [][]int {
	place := map[basis]int{}
	var out [][]int
	for i, n := range nights {
		if _, known := m.Of(n); !known || !n.Valid() {
			continue
		}
		at, seen := place[n.basis()]
		if !seen {
			at = len(out)
			place[n.basis()] = at
			out = append(out, nil)
		}
		out[at] = append(out[at], i)
	}
	return out
}

// follow looks for changes in one series of nights.
func (t *Trend) follow(m Metric, series []int) {
	values := make([]float64, len(series))
	for i, night := range series {
		values[i], _ = m.Of(t.Nights[night])
	}
	from := 0
	for _, c := range FindChanges(values) {
		t.Shifts = append(t.Shifts, Shift{m, series[c.At], c})
		t.Spells = append(t.Spells, spell(m, series[from:c.At], values[from:c.At]))
		from = c.At
	}
	t.Spells = append(t.Spells, spell(m, series[from:], values[from:]))
}

func spell(m Metric, nights []int, values []float64) Spell {
	const (
		least      = 0.05
		deviations = 3
		enough     = 10 // nights; of fewer the deviation tells little
	)
	s := Spell{Metric: m, Nights: nights, Median: middle(values), Noise: least}
	if len(values) < enough {
		return s
	}
	off := make([]float64, len(values))
	for i, v := range values {
		off[i] = math.Abs(v/s.Median - 1)
	}
	s.Noise = max(least, deviations*middle(off))
	return s
}

// turns returns the nights from which on a machine checked something else.
// Nights that say nothing may have had nothing to check.
func turns(nights []Night) []Turn {
	before := map[string]basis{}
	var out []Turn
	for i, n := range nights {
		if !n.Valid() {
			continue
		}
		now := n.basis()
		if old, seen := before[now.machine]; seen && old != now {
			out = append(out, Turn{i, old.cell != now.cell, n.Minimal})
		}
		before[now.machine] = now
	}
	return out
}
