// Package analysis is what it means: pure judgements of what was measured.
// The same functions judge a trial while it runs and its file a year later,
// so a stored measurement can be judged again by another objective.
//
// It is pure: values in, values out; no files, no clock, no network. It
// doesn't print; package report does.
package analysis

import (
	"time"

	"sweep/pkg/experiment"
)

// Outcome is how a trial ended.
type Outcome string

// The outcomes of a trial. The empty outcome is that of a trial still open.
const (
	Open             Outcome = ""
	Passed           Outcome = "passed"            // carried the target within the objective
	Breached         Outcome = "breached"          // the objective didn't hold
	OOMKilled        Outcome = "oom_killed"        // the kernel killed the service for memory
	Crashed          Outcome = "crashed"           // the service ended by itself
	NotReady         Outcome = "not_ready"         // the service never got ready
	GeneratorLimited Outcome = "generator_limited" // the generator was the limit: nothing is known of the service
	HostLimited      Outcome = "host_limited"      // the host couldn't give what the limits promise
	Inconclusive     Outcome = "inconclusive"      // the windows don't bear out an answer
	NotMeasured      Outcome = "not_measured"      // no trial was run
)

// Failed reports whether the service itself failed: too little for the load.
func (o Outcome) Failed() bool {
	switch o {
	case Breached, OOMKilled, Crashed, NotReady:
		return true
	case Open, Passed, GeneratorLimited, HostLimited, Inconclusive, NotMeasured:
	}
	return false
}

// Known reports whether the trial tells if the cell carries the load.
func (o Outcome) Known() bool { return o == Passed || o.Failed() }

// Level is the load at one point of a trial that was really run, and how the
// service answered there.
type Level struct {
	At         time.Duration // since the load began, the end of what is described
	Users      int
	Requests   uint64  // sent from the beginning to here; depends on the ramp's speed
	Throughput float64 // right answers per second
	P50        time.Duration
	P95        time.Duration
	P99        time.Duration
	ErrorRate  float64 // share of the requests that failed, 0 to 1

	// Deficit is how much less was asked than so many users would ask at low
	// load, 0 to 1: users who wait for slow answers send less. 0 where it isn't
	// known.
	Deficit float64

	// Margin is how near the nearest limit was: the natural logarithm of what was
	// observed over what is allowed, so that less is better and 0 is the limit.
	Margin float64
}

// Breach is the first objective that didn't hold.
type Breach struct {
	Objective string // as in the experiment file: "p99", "errors"; or "alive"
	Observed  string
	Limit     string // empty for "alive"
}

// Cause is why a trial failed, as far as the evidence tells.
type Cause struct {
	Label       Label
	Evidence    []string // the values that speak for it, for people
	ConfirmedBy string   // the neighbouring cell that bears it out, or empty
}

// Label names a cause.
type Label string

// The causes that are told apart so far.
const (
	CauseOOM         Label = "oom_killed"
	CauseCrash       Label = "crashed"
	CauseMemory      Label = "memory_bound"
	CauseCPU         Label = "cpu_bound"
	CauseBursts      Label = "cpu_throttled_bursts"
	CauseBacklog     Label = "backlog"
	CauseConcurrency Label = "concurrency_cap"
	CauseDownstream  Label = "downstream"
	CauseApplication Label = "application_error"
	CauseLeak        Label = "leak"
	CauseNotReady    Label = "not_ready"
	CauseGenerator   Label = "generator"
	CauseHost        Label = "host"
	CauseUnknown     Label = "unknown"
)

// Labels returns all causes.
func Labels() []Label {
	return []Label{
		CauseOOM, CauseCrash, CauseMemory, CauseCPU, CauseBursts, CauseBacklog, CauseConcurrency, CauseDownstream,
		CauseApplication, CauseLeak, CauseNotReady, CauseGenerator, CauseHost, CauseUnknown,
	}
}

// Verdict is the judgement of one trial.
type Verdict struct {
	Trial     experiment.Trial
	Outcome   Outcome
	LastPass  *Level // the last level at which the objective held, or nil
	FirstFail *Level // the first at which it didn't, or nil
	Breach    *Breach
	Cause     *Cause // nil for a trial that passed
	Stopped   string // where and why the load ended before this objective was decided; see [Again]

	Confidence           float64          // of a hold: with which it shows that the objective holds, or that it doesn't, 0 to 1; 0 where seconds running decided
	PeakMemory           experiment.Bytes // 0 where it isn't known
	CPUSecondsPerRequest float64          // 0 where it isn't known
	Void                 []Stretch        // what decided nothing, for the generator or the host was the limit
	Warnings             []string
	Seconds              []Second // what a model learns from; [JudgeAll] fills it in
}

// Inference is what follows for a cell from others that were measured, as long
// as more resources never carry less. It is less than a measurement, and must
// look so everywhere.
type Inference string

// What can follow for a cell. The empty inference is none.
const (
	InferredPassed Inference = "passed" // it grants all that a cell grants which passed
	InferredFailed Inference = "failed" // it grants no more than a cell that failed
)

// Cell is what is known of one set of limits: the verdict of all its starts
// together.
type Cell struct {
	Verdict
	Measured  bool              // false: nothing was run here
	Why       string            // why the host can't run it, where that is so
	Trials    int               // fresh starts that were run
	Starts    []Verdict         // of each of them: ramps, then holds from the lowest level up, by replicate
	Deciding  []Verdict         // of those the ones that decide: of the holds those at the bound, else the ramps
	Levels    []Held            // the levels that were held, the lowest first
	Proved    bool              // levels that were held say what the verdict says, not only a ramp on its way
	Inferred  Inference         // what follows for it, where it tells nothing itself
	From      experiment.Limits // the measured cell that it follows from, where it does
	PriceHour float64           // dollars
	Predicted *Prediction       // what a model says of it, where it wasn't measured; nil: nothing
	Scaling   *Scaling          // how its throughput grows with concurrency, where it was measured; or why that isn't told
}

// PricePerMillion returns what a million right answers cost, in dollars, while
// the cell carries the most that it did; 0 where it isn't known.
func (c Cell) PricePerMillion() float64 {
	if c.LastPass == nil || c.LastPass.Throughput <= 0 {
		return 0
	}
	const hour, million = 3600, 1e6
	return c.PriceHour / (hour * c.LastPass.Throughput) * million
}

// Surface is the answer to an experiment.
type Surface struct {
	Experiment string
	Target     int
	Objective  experiment.Objective
	Cells      []Cell                        // by CPUs, then memory
	Frontier   []experiment.Limits           // the measured cells that carry the target while all within them are known not to
	Minimal    *Minimal                      // nil where nothing is viable, or the answer isn't known
	Models     map[experiment.Setting]*Model // of the service, as measured with each setting; none where the measurements bear none
	Answer     string                        // one sentence
	Warnings   []string
}

// Minimal is the cheapest cell that carries the target. Where others that carry
// it cost as good as the same, it is the one with the largest margin.
type Minimal struct {
	Limits          experiment.Limits
	PriceHour       float64 // dollars
	PricePerMillion float64 // dollars for a million right answers, 0 where it isn't known
	Headroom        float64 // users carried over users asked for: at least 1

	Certificate string // on what fresh starts the claim rests that it is the least; empty where it isn't certified
}
