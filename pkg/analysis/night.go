package analysis

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"sweep/pkg/experiment"
)

// NightSchema names the format of a [Night].
const NightSchema = "sweep.night/v1"

// Night is what one nightly check found: one line of the history. It is a
// judgement, kept because its measurements needn't be.
type Night struct {
	Schema     string            `json:"schema"` // NightSchema
	Time       time.Time         `json:"time"`   // at which the check began
	Run        string            `json:"run"`    // as in the results' folder
	Version    string            `json:"version"`
	Experiment string            `json:"experiment"`
	Question   string            `json:"question"` // digest of what makes a measurement different
	Host       Machine           `json:"host"`
	ImageID    string            `json:"image_id"`
	Verdict    NightVerdict      `json:"verdict"`
	Reason     string            `json:"reason,omitempty"`  // why it isn't Holds
	Minimal    experiment.Limits `json:"minimal,omitzero"`  // the cell that was checked; zero where there was none to check
	Target     int               `json:"target_users"`      // in Unit
	Unit       string            `json:"unit,omitempty"`    // of the target and of brackets, where it isn't users
	Cells      []NightCell       `json:"cells"`             // those that were run
	Metrics    *NightMetrics     `json:"metrics,omitempty"` // at Minimal; nil where no start counted
	Trials     int               `json:"trials"`            // starts that were made
	Seconds    float64           `json:"seconds"`           // that the check took
}

// NightVerdict is what a night says of the capacity.
type NightVerdict string

// What a night can say. An inconclusive one says nothing of the service: the
// host was another, or it or the generator was the limit.
const (
	Holds             NightVerdict = "holds"
	Regressed         NightVerdict = "regressed"
	NightInconclusive NightVerdict = "inconclusive"
)

// NightCell is the bracket of a cell's capacity, both ends really run.
type NightCell struct {
	Limits    experiment.Limits `json:"limits"`
	Outcome   Outcome           `json:"outcome"`
	LastPass  *int              `json:"last_pass"`  // users; null where none passed
	FirstFail *int              `json:"first_fail"` // users; null where none failed
	Proved    bool              `json:"proved"`     // holds, not only a ramp, say so
}

// NightMetrics are the medians of a night's starts at the target. What isn't
// known is 0.
type NightMetrics struct {
	Throughput           float64 `json:"throughput,omitempty"` // right answers a second
	P99                  float64 `json:"p99_ms,omitempty"`
	CPUSecondsPerRequest float64 `json:"cpu_seconds_per_request,omitempty"`
	PeakMemory           float64 `json:"peak_memory_bytes,omitempty"`
	Starts               int     `json:"starts"` // that count
}

// Machine is what a measurement was made on: what is told apart by Fingerprint
// measures differently.
type Machine struct {
	Fingerprint string `json:"fingerprint"` // eight hexadecimal digits
	Words       string `json:"words"`       // the same for people
}

// MachineOf returns the machine that is told in these words. Which machines
// count as the same one is the caller's to say, by the same words.
func MachineOf(words string) Machine {
	sum := sha256.Sum256([]byte(words))
	return Machine{hex.EncodeToString(sum[:4]), words}
}

// Saw fills in what a night's starts showed: the bracket of each cell that was
// run, and what those were like that carried the target in the cell that is
// checked. tonight is that cell as it was started, which may name tonight's
// image; in the history it is Minimal, for every night's image may be another.
func (n *Night) Saw(starts []Verdict, tonight experiment.Limits) {
	n.Trials, n.Cells, n.Metrics = len(starts), []NightCell{}, nil
	var carried []Verdict
	for _, v := range starts {
		l := v.Trial.Limits
		if l == tonight {
			l = n.Minimal
			if v.Outcome == Passed && v.Trial.Hold == n.Target && v.LastPass != nil {
				carried = append(carried, v)
			}
		}
		at := slices.IndexFunc(n.Cells, func(c NightCell) bool { return c.Limits == l })
		if at < 0 {
			at, n.Cells = len(n.Cells), append(n.Cells, NightCell{Limits: l})
		}
		n.Cells[at].saw(v)
	}
	if len(carried) == 0 {
		return
	}
	median := func(of func(Verdict) float64) float64 {
		values := make([]float64, len(carried))
		for i, v := range carried {
			values[i] = of(v)
		}
		return middle(values)
	}
	n.Metrics = &NightMetrics{
		Throughput:           median(func(v Verdict) float64 { return v.LastPass.Throughput }),
		P99:                  median(func(v Verdict) float64 { return 1000 * v.LastPass.P99.Seconds() }),
		CPUSecondsPerRequest: median(func(v Verdict) float64 { return v.CPUSecondsPerRequest }),
		PeakMemory:           median(func(v Verdict) float64 { return float64(v.PeakMemory) }),
		Starts:               len(carried),
	}
}

// saw widens what is known of a cell by one start. Of starts that disagree the
// bracket has both: then the first fail isn't above the last pass.
func (c *NightCell) saw(v Verdict) {
	if v.Outcome.Known() || c.Outcome == Open {
		c.Outcome = v.Outcome
	}
	if l := v.LastPass; l != nil && v.Outcome.Known() && (c.LastPass == nil || l.Users > *c.LastPass) {
		c.LastPass = new(l.Users)
	}
	if l := v.FirstFail; l != nil && v.Outcome.Known() && (c.FirstFail == nil || l.Users < *c.FirstFail) {
		c.FirstFail = new(l.Users)
	}
	c.Proved = c.Proved || v.Trial.Hold > 0 && v.Outcome.Known()
}

// Check says what keeps a night from being one, or nothing.
func (n Night) Check() error {
	switch {
	case n.Schema != NightSchema:
		return fmt.Errorf("has the format %q; this sweep reads %q", n.Schema, NightSchema)
	case n.Experiment == "":
		return errors.New("names no experiment")
	case n.Time.IsZero() || n.Time.Year() > 9999:
		return errors.New("has no time")
	case !isCell(n.Minimal) && (n.Valid() || n.Minimal != experiment.Limits{}) || slices.ContainsFunc(n.Cells, func(c NightCell) bool { return !isCell(c.Limits) }):
		return errors.New("has a cell without limits")
	case n.Verdict != Holds && n.Verdict != Regressed && n.Verdict != NightInconclusive:
		return fmt.Errorf("has the verdict %q, not %s, %s or %s", n.Verdict, Holds, Regressed, NightInconclusive)
	}
	numbers := []float64{n.Seconds, float64(n.Target), float64(n.Trials)}
	if m := n.Metrics; m != nil {
		numbers = append(numbers, m.Throughput, m.P99, m.CPUSecondsPerRequest, m.PeakMemory, float64(m.Starts))
	}
	for _, c := range n.Cells {
		for _, users := range []*int{c.LastPass, c.FirstFail} {
			if users != nil {
				numbers = append(numbers, float64(*users))
			}
		}
	}
	for _, x := range numbers {
		if x < 0 || math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("has the number %g", x)
		}
	}
	return nil
}

func isCell(l experiment.Limits) bool { return l.CPU > 0 && l.Memory > 0 }

// Valid reports whether a night says anything of the service.
func (n Night) Valid() bool { return n.Verdict != NightInconclusive }

// Capacity returns the bracket of the cell that was checked, or nil where it
// wasn't run.
func (n Night) Capacity() *NightCell {
	for i := range n.Cells {
		if n.Cells[i].Limits == n.Minimal {
			return &n.Cells[i]
		}
	}
	return nil
}
