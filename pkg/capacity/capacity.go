// Package capacity is the nightly check: what a service carried when somebody
// last agreed to it (the contract, capacity.yaml), which trials tell whether it
// still does, and what they say.
//
// It is pure: values in, values out; no files, no clock, no network. Package
// report writes what it finds, cmd/sweep does what it asks for.
package capacity

import (
	"fmt"
	"math"
	"strings"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// Version is the version of the contract's format that this package reads.
const Version = 1

// Contract is what was agreed that a service carries, host by host.
type Contract struct {
	Experiment string
	Question   string // see [Question]
	Target     int
	Unit       string // of Target: users or requests/s
	Objective  string // in words, as [experiment.Objective] has them
	Baselines  []Baseline
}

// Baseline is what was measured on one host.
type Baseline struct {
	Host      Host
	Measured  string // the day, 2026-11-24
	Sweep     string // its version
	Run       string // where it was measured
	Image     string // as the experiment, or the minimal cell, names it
	ImageID   string
	Digests   []string // the image's in registries
	Blueprint string   // digest of what its containers were made from, limits apart
	Ceiling   float64  // requests a second that the generator made alone; 0 where it isn't known
	Minimal   experiment.Limits
	Cells     []Cell
	Starts    []Start // fresh starts of Minimal that held the target
}

// Cell is a configuration that was run, and the bracket of what it carries.
type Cell struct {
	Limits    experiment.Limits
	Outcome   analysis.Outcome
	LastPass  int  // 0 where nothing passed
	FirstFail int  // 0 where nothing failed
	Proved    bool // holds, not only a ramp, say so
}

// Start is what one fresh start that held the target was like.
type Start struct {
	Throughput float64 // right answers a second
	P99        float64 // milliseconds
	CPU        float64 // milliseconds of CPU time for a right answer; 0 where it isn't known
	Memory     float64 // MiB at the peak; 0 where it isn't known
	Errors     float64 // share of the requests that failed, 0 to 1
}

// StartOf returns what a trial that held the target was like. A failed one is
// worse than can be told.
func StartOf(v analysis.Verdict) Start {
	if v.Outcome != analysis.Passed || v.LastPass == nil {
		return Start{Throughput: 0, P99: math.Inf(1), CPU: math.Inf(1), Memory: math.Inf(1), Errors: 1}
	}
	return Start{
		Throughput: v.LastPass.Throughput, P99: 1000 * v.LastPass.P99.Seconds(), CPU: 1000 * v.CPUSecondsPerRequest,
		Memory: v.PeakMemory.MiB(), Errors: v.LastPass.ErrorRate,
	}
}

// Metric is something that is compared between nights.
type Metric struct {
	Name string // in files
	Word string // for people
	of   func(Start) float64
	more float64 // +1 where more of it is worse, -1 where less is
}

// Metrics returns what is compared, in the order in which it is told.
func Metrics() []Metric {
	return []Metric{
		{"throughput", "throughput", func(s Start) float64 { return s.Throughput }, -1},
		{"p99_ms", "p99", func(s Start) float64 { return s.P99 }, +1},
		{"cpu_ms_per_request", "CPU time per request", func(s Start) float64 { return s.CPU }, +1},
		{"peak_memory_mib", "peak memory", func(s Start) float64 { return s.Memory }, +1},
	}
}

// values returns the metric of each start as it is measured.
func (m Metric) values(starts []Start) []float64 {
	out := make([]float64, len(starts))
	for i, s := range starts {
		out[i] = m.of(s)
	}
	return out
}

// losses returns the metric of each start so that more is worse and equal
// shares are equal distances: natural logarithms.
func (m Metric) losses(starts []Start) []float64 {
	out := make([]float64, len(starts))
	for i, v := range m.values(starts) {
		out[i] = m.more * math.Log(v)
	}
	return out
}

// Share returns a loss as a share of the metric: 0.2 where it is 20 % more,
// whether that is worse or not.
func (m Metric) Share(loss float64) float64 { return math.Exp(m.more*loss) - 1 }

// known reports whether the metric was measured in every start.
func (m Metric) known(starts []Start) bool {
	for _, v := range m.values(starts) {
		if v <= 0 {
			return false
		}
	}
	return len(starts) > 0
}

// Host is the machine and engine of a baseline, as far as they matter to what
// is measured.
type Host struct {
	CPUs         int
	Memory       experiment.Bytes
	Kernel       string // its major and minor version
	Architecture string
	Cgroup       string
	Engine       string // its major and minor version
}

// HostOf returns what matters of a host.
func HostOf(h measure.Host) Host {
	return Host{
		CPUs: h.CPUs, Memory: h.Memory - h.Memory%experiment.MiB, Kernel: minor(h.Kernel), Architecture: h.Architecture,
		Cgroup: h.CgroupVersion, Engine: minor(h.Engine),
	}
}

// minor returns the first two numbers of a version: patches don't change what
// is measured, as a rule.
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 3 {
		return version
	}
	return parts[0] + "." + parts[1]
}

// String returns the host in words, for people to see what differs.
func (h Host) String() string {
	return fmt.Sprintf("%d CPUs, %.1f GiB, %s, kernel %s, cgroup v%s, engine %s",
		h.CPUs, float64(h.Memory)/float64(experiment.GiB), h.Architecture, h.Kernel, h.Cgroup, h.Engine)
}

// sameMemory is the share by which the memory of the same host may differ: a
// kernel keeps a little more for itself than the one before.
const sameMemory = 0.05

// Same reports whether measurements on both can be compared.
func (h Host) Same(o Host) bool {
	apart := math.Abs(float64(h.Memory-o.Memory)) / float64(max(h.Memory, o.Memory, 1))
	h.Memory = o.Memory
	return h == o && apart <= sameMemory
}

// On returns the baseline of a host, nil where there is none.
func (c Contract) On(h Host) *Baseline {
	for i := range c.Baselines {
		if c.Baselines[i].Host.Same(h) {
			return &c.Baselines[i]
		}
	}
	return nil
}

// With returns the contract with a baseline: instead of that of the same host,
// or beside those of others.
func (c Contract) With(b Baseline) Contract {
	baselines := []Baseline{}
	for _, other := range c.Baselines {
		if !other.Host.Same(b.Host) {
			baselines = append(baselines, other)
		}
	}
	baselines = append(baselines, b)
	c.Baselines = baselines
	return c
}

// Of returns the contract of an experiment, without a baseline.
func Of(e *experiment.Experiment) Contract {
	return Contract{Experiment: e.Name, Question: Question(e), Target: e.Users.Target, Unit: e.Users.Unit(), Objective: e.Objective.String()}
}

// Question returns a digest of what makes a measurement what it is, but for the
// image that the service is started from: that is what a night is about, and CI
// gives each its own name.
func Question(e *experiment.Experiment) string {
	asked := *e
	asked.Service.Image = ""
	return asked.Digest()
}

// Asks says what an experiment asks otherwise than the contract, or nothing.
func (c Contract) Asks(e *experiment.Experiment) string {
	now := Of(e)
	switch {
	case c.Experiment != now.Experiment:
		return fmt.Sprintf("the baseline is of %s, the experiment is %s", c.Experiment, now.Experiment)
	case c.Target != now.Target || c.Unit != now.Unit:
		return fmt.Sprintf("the baseline is of %s %s, the experiment asks for %s %s",
			analysis.Thousands(c.Target), c.Unit, analysis.Thousands(now.Target), now.Unit)
	case c.Objective != now.Objective:
		return fmt.Sprintf("the baseline is of %s, the experiment asks for %s", c.Objective, now.Objective)
	case c.Question != now.Question:
		return fmt.Sprintf("service, request, users or placement of the experiment have changed since the baseline (%s, now %s)", c.Question, now.Question)
	}
	return ""
}
