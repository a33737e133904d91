package main

import (
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/load"
	"sweep/pkg/measure"
)

// loadSchema names the format of a [loadSummary].
const loadSchema = "sweep.load/v1"

// loadSummary is what a load saw, and what it cost.
type loadSummary struct {
	Schema  string `json:"schema"`
	URL     string `json:"url"`
	Users   int    `json:"users,omitempty"`
	PerSec  int    `json:"rate,omitempty"` // open arrivals a second
	part           // all of it
	Hold    *part  `json:"hold,omitempty"` // the last stage's, where all users are there
	Pending uint64 `json:"unanswered"`     // when the load was cut off
	Oldest  millis `json:"oldest_ms"`      // how long the oldest of them had been out

	Generator effort   `json:"generator"`
	Valid     bool     `json:"valid"`
	Reasons   []string `json:"reasons"` // why it isn't, or what else there is to say of the generator
}

// part is what was seen in some of a load's windows.
type part struct {
	Seconds    float64                  `json:"seconds"`
	Requests   uint64                   `json:"requests"`
	Throughput float64                  `json:"throughput"` // right answers a second
	Errors     map[measure.Class]uint64 `json:"errors"`
	ClosedIdle uint64                   `json:"closed_idle"` // requests that found their connection closed
	Late       uint64                   `json:"late"`        // requests begun more than lateAfter after they were due
	Connect    quantiles                `json:"connect_ms"`
	Service    quantiles                `json:"service_ms"`
	Response   quantiles                `json:"response_ms"`
	Lag        quantiles                `json:"lag_ms"`
}

// lateAfter is from when on a request counts as caught up on, not as on time.
const lateAfter = 5 * time.Millisecond

type millis float64

func inMillis(d time.Duration) millis { return millis(float64(d) / float64(time.Millisecond)) }

type quantiles struct {
	P50 millis `json:"p50"`
	P95 millis `json:"p95"`
	P99 millis `json:"p99"`
	Max millis `json:"max"`
}

func quantilesOf(h measure.Histogram) quantiles {
	return quantiles{inMillis(h.Quantile(.5)), inMillis(h.Quantile(.95)), inMillis(h.Quantile(.99)), inMillis(h.Max())}
}

// effort is what the load cost.
type effort struct {
	CPUSeconds  float64 `json:"cpu_seconds"` // of its windows
	Cores       float64 `json:"cores"`       // that it may use
	Memory      int64   `json:"max_rss_bytes"`
	Allocations float64 `json:"allocations_per_request"` // in steady state: after the first second
}

func partOf(windows []measure.Window) part {
	var all measure.Window
	p := part{Errors: map[measure.Class]uint64{}}
	for _, w := range windows {
		all.Merge(w)
		p.Seconds += w.Length.Seconds()
	}
	maps.Copy(p.Errors, all.Errors)
	p.Requests, p.ClosedIdle, p.Late = all.Sent, all.Stale, all.Lag.Above(lateAfter)
	if p.Seconds > 0 {
		p.Throughput = float64(all.Done) / p.Seconds
	}
	p.Connect, p.Service, p.Response, p.Lag = quantilesOf(all.Connect), quantilesOf(all.Service), quantilesOf(all.Response), quantilesOf(all.Lag)
	return p
}

// summarise puts a load's measurement together.
func summarise(url string, e *experiment.Experiment, plan load.Plan, s measure.Series) loadSummary {
	out := loadSummary{Schema: loadSchema, URL: url, Users: e.Users.Target, part: partOf(s.Windows), Reasons: []string{}}
	if plan.Open {
		out.Users, out.PerSec = 0, e.Users.Target
	}
	var allocated, sent uint64
	for i, w := range s.Windows {
		out.Pending += w.Pending()
		if w.Start >= plan.Ramp[len(plan.Ramp)-1].Over.Std() && out.Hold == nil && w.Length > 0 {
			hold := partOf(s.Windows[i:])
			out.Hold = &hold
		}
		if i > 0 && w.Effort != nil && w.Length > 0 {
			allocated += w.Effort.Allocations
			sent += w.Sent
		}
		if w.Effort != nil {
			out.Generator.CPUSeconds += w.Effort.CPU * w.Length.Seconds()
			out.Generator.Cores, out.Generator.Memory = w.Effort.Cores, int64(w.Effort.Memory)
		}
	}
	out.Generator.Allocations = float64(allocated) / float64(max(1, sent))
	if last := s.Last(); last != nil && out.Pending > 0 {
		out.Oldest = inMillis(last.Oldest)
	}
	a := analysis.Assess(e, s.Windows)
	out.Valid = a.Validity != analysis.Invalid
	for _, reason := range a.Reasons {
		out.Reasons = append(out.Reasons, reason.String())
	}
	return out
}

// print writes the summary for people.
func (s loadSummary) print(w io.Writer) {
	what := analysis.Thousands(s.Users) + " users"
	if s.PerSec > 0 {
		what = analysis.Thousands(s.PerSec) + " requests/s"
	}
	fmt.Fprintf(w, "%s on %s\n\n", what, s.URL)
	s.part.print(w, fmt.Sprintf("all %.0f s", s.Seconds))
	if s.Hold != nil && s.Hold.Seconds < s.Seconds {
		fmt.Fprintln(w)
		s.Hold.print(w, fmt.Sprintf("the last %.0f s, with all of them", s.Hold.Seconds))
	}
	if s.Pending > 0 {
		fmt.Fprintf(w, "\n%s requests were still out, the oldest for %s\n", analysis.Thousands(int(s.Pending)), s.Oldest)
	}
	fmt.Fprintf(w, "\ngenerator   %.2f of %g CPU, %.0f MiB: ", s.Generator.CPUSeconds/max(s.Seconds, 1), s.Generator.Cores, experiment.Bytes(s.Generator.Memory).MiB())
	if s.Valid {
		fmt.Fprintln(w, "it was not the limit")
	} else {
		fmt.Fprintln(w, "IT WAS THE LIMIT, so this says little of the service")
	}
	for _, reason := range s.Reasons {
		fmt.Fprintf(w, "            %s\n", reason)
	}
}

func (p part) print(w io.Writer, title string) {
	fmt.Fprintf(w, "%s: %s requests, %s right answers a second, %s\n", title,
		analysis.Thousands(int(p.Requests)), analysis.Thousands(int(p.Throughput)), p.failures())
	for _, row := range []struct {
		name, what string
		quantiles
	}{
		{"response", "from when it was due", p.Response},
		{"service", "from when it was sent", p.Service},
		{"lag", "of the generator itself", p.Lag},
		{"connect", "of connections that were opened", p.Connect},
	} {
		if row.quantiles == (quantiles{}) {
			continue // nothing of that kind happened
		}
		fmt.Fprintf(w, "  %-9s p50 %-8s p95 %-8s p99 %-8s max %-8s %s\n", row.name, row.P50, row.P95, row.P99, row.Max, row.what)
	}
	if p.ClosedIdle > 0 {
		fmt.Fprintf(w, "  %s found their idle connection closed, and went on a fresh one\n", analysis.Thousands(int(p.ClosedIdle)))
	}
	if p.Late > 0 {
		fmt.Fprintf(w, "  %s were begun more than %s late\n", analysis.Thousands(int(p.Late)), lateAfter)
	}
}

func (p part) failures() string {
	var parts []string
	for _, class := range measure.Classes() {
		if n := p.Errors[class]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", analysis.Thousands(int(n)), class))
		}
	}
	if len(parts) == 0 {
		return "no errors"
	}
	return "errors: " + strings.Join(parts, ", ")
}

// String writes it to three digits.
func (m millis) String() string {
	return analysis.Short(time.Duration(float64(m) * float64(time.Millisecond)))
}
