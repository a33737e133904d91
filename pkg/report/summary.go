package report

import (
	"encoding/json"
	"fmt"
	"io"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// Schema names the format that [JSON] writes.
const Schema = "sweep.summary/v1"

// The summary's fields are a contract: what scripts read. A pointer is null
// where there is none; a list is never null.
type (
	summary struct {
		Schema      string          `json:"schema"`
		Experiment  string          `json:"experiment"`
		Run         string          `json:"run"`
		TargetUsers int             `json:"target_users"`
		Unit        string          `json:"unit,omitempty"` // of target_users and users, where it isn't users
		Cells       []summaryCell   `json:"cells"`
		Frontier    []summaryLimits `json:"frontier"`
		Minimal     *summaryMinimal `json:"minimal"`
		Apply       *summaryApply   `json:"apply"` // what the files in apply/ grant
		Answer      string          `json:"answer"`
		Warnings    []string        `json:"warnings"`
	}
	summaryLimits struct {
		CPUs        json.Number `json:"cpus"` // digit for digit as in the experiment file
		MemoryBytes int64       `json:"memory_bytes"`

		Settings map[string]string `json:"settings,omitempty"` // of the service's environment, in this cell
		Image    string            `json:"image,omitempty"`    // the service's, in this cell
	}
	summaryCell struct {
		summaryLimits

		Measured     bool               `json:"measured"`
		Inferred     analysis.Inference `json:"inferred,omitempty"`      // what follows for it, where it tells nothing itself
		InferredFrom *summaryLimits     `json:"inferred_from,omitempty"` // from this cell, which does
		Predicted    *summaryPrediction `json:"predicted,omitempty"`     // what a model says of it, where it wasn't measured
		Trials       int                `json:"trials"`
		summaryVerdict
		Proved          bool           `json:"proved"`           // holds, not only a ramp, say so
		Levels          []summaryHeld  `json:"levels,omitempty"` // what was held
		Starts          []summaryStart `json:"starts"`           // each of the trials
		PriceHour       float64        `json:"price_hour"`
		PricePerMillion float64        `json:"price_per_million,omitempty"` // right answers, at the last pass
		Warnings        []string       `json:"warnings"`
	}
	summaryPrediction struct {
		Users int            `json:"users"` // the most that it carries
		Low   int            `json:"low"`
		High  int            `json:"high"`
		Bound analysis.Label `json:"bound"` // what runs out first
		Error float64        `json:"error"` // the model's mean error where it was tried, as a share
	}
	summaryHeld struct {
		Users  int            `json:"users"`
		Passed int            `json:"passed"`
		Failed int            `json:"failed"`
		Untold int            `json:"untold,omitempty"` // holds that told nothing
		Class  analysis.Class `json:"class"`
	}
	summaryStart struct {
		Hold      int `json:"hold,omitempty"` // the level that was held; none: a ramp
		Replicate int `json:"replicate"`
		summaryVerdict
		Warnings []string `json:"warnings"`
	}
	summaryVerdict struct {
		Outcome              analysis.Outcome `json:"outcome"`
		LastPass             *summaryLevel    `json:"last_pass"`
		FirstFail            *summaryLevel    `json:"first_fail"`
		Breach               *summaryBreach   `json:"breach"`
		Cause                *summaryCause    `json:"cause"`
		PeakMemoryBytes      *int64           `json:"peak_memory_bytes"`
		CPUSecondsPerRequest *float64         `json:"cpu_seconds_per_request"`
		Confidence           float64          `json:"confidence,omitempty"` // of a hold
	}
	summaryLevel struct {
		Users      int     `json:"users"`
		Requests   uint64  `json:"requests"`
		Throughput float64 `json:"throughput"`
		P50        float64 `json:"p50_ms"`
		P95        float64 `json:"p95_ms"`
		P99        float64 `json:"p99_ms"`
		ErrorRate  float64 `json:"error_rate"`
		Deficit    float64 `json:"deficit"`
	}
	summaryBreach struct {
		Objective string `json:"objective"`
		Observed  string `json:"observed"`
		Limit     string `json:"limit"`
	}
	summaryCause struct {
		Label       analysis.Label `json:"label"`
		Evidence    []string       `json:"evidence"`
		ConfirmedBy string         `json:"confirmed_by"`
	}
	summaryMinimal struct {
		summaryLimits

		PriceHour       float64 `json:"price_hour"`
		PricePerMillion float64 `json:"price_per_million,omitempty"`
		Headroom        float64 `json:"headroom"`
		Certificate     string  `json:"certificate,omitempty"`
	}
	summaryApply struct {
		summaryLimits

		Headroom float64 `json:"headroom"` // that is asked for, as a share of the target
		Proved   bool    `json:"proved"`   // the configuration carried the target and that
	}
)

// JSON writes a run's summary as [Schema] says.
func JSON(w io.Writer, r Run) error {
	s := summary{
		Schema: Schema, Experiment: r.Surface.Experiment, Run: r.ID, TargetUsers: r.Surface.Target,
		Cells: []summaryCell{}, Frontier: []summaryLimits{}, Answer: r.Surface.Answer, Warnings: list(r.warnings()),
	}
	if r.open() {
		s.Unit = r.Experiment.Users.Unit()
	}
	for _, c := range r.Surface.Cells {
		s.Cells = append(s.Cells, r.summarise(c))
	}
	for _, l := range r.Surface.Frontier {
		s.Frontier = append(s.Frontier, limits(l))
	}
	s.Minimal = r.summaryMinimal()
	if p := r.provision(); p != nil {
		s.Apply = &summaryApply{limits(p.limits), headroom, p.proved}
	}
	if err := writeJSON(w, s); err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	return nil
}

func (r Run) summaryMinimal() *summaryMinimal {
	m := r.Surface.Minimal
	if m == nil {
		return nil
	}
	return &summaryMinimal{limits(m.Limits), m.PriceHour, m.PricePerMillion, m.Headroom, m.Certificate}
}

func (r Run) summarise(c analysis.Cell) summaryCell {
	out := summaryCell{
		summaryLimits: limits(c.Trial.Limits), Measured: c.Measured, Inferred: c.Inferred, Trials: c.Trials, Proved: c.Proved,
		summaryVerdict: verdict(c.Verdict), Starts: []summaryStart{}, PriceHour: c.PriceHour, PricePerMillion: c.PricePerMillion(), Warnings: list(notes(c)),
	}
	if c.Inferred != "" {
		from := limits(c.From)
		out.InferredFrom = &from
	}
	if p := r.predicted(c); p != nil {
		out.Predicted = &summaryPrediction{p.Users, p.Low, p.High, p.Bound, r.model(c).Error}
	}
	for _, h := range c.Levels {
		out.Levels = append(out.Levels, summaryHeld(h))
	}
	for _, start := range c.Starts {
		out.Starts = append(out.Starts, summaryStart{start.Trial.Hold, start.Trial.Replicate, verdict(start), list(warnings(start))})
	}
	return out
}

func verdict(v analysis.Verdict) summaryVerdict {
	out := summaryVerdict{Outcome: v.Outcome, Confidence: v.Confidence, LastPass: summaryOf(v.LastPass), FirstFail: summaryOf(v.FirstFail)}
	if b := v.Breach; b != nil {
		out.Breach = &summaryBreach{b.Objective, b.Observed, b.Limit}
	}
	if why := v.Cause; why != nil {
		out.Cause = &summaryCause{why.Label, list(why.Evidence), why.ConfirmedBy}
	}
	if v.PeakMemory > 0 {
		peak := int64(v.PeakMemory)
		out.PeakMemoryBytes = &peak
	}
	if v.CPUSecondsPerRequest > 0 {
		out.CPUSecondsPerRequest = &v.CPUSecondsPerRequest
	}
	return out
}

func limits(l experiment.Limits) summaryLimits {
	return summaryLimits{json.Number(l.CPU.String()), int64(l.Memory), l.Env.Map(), l.Image}
}

func summaryOf(l *analysis.Level) *summaryLevel {
	if l == nil {
		return nil
	}
	return &summaryLevel{l.Users, l.Requests, l.Throughput, milliseconds(l.P50), milliseconds(l.P95), milliseconds(l.P99), l.ErrorRate, l.Deficit}
}

// list returns items, never nil.
func list(items []string) []string { return append([]string{}, items...) }
