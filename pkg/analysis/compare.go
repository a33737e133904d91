package analysis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// Side is one of two runs that are compared.
type Side struct {
	Experiment *experiment.Experiment // as it is judged
	Manifest   measure.Manifest
	Surface    Surface
	Ceiling    float64 // requests a second that its generator made at most, when it was tried alone; 0 where it wasn't
}

// CeilingOf returns the least that the generator of a run made alone, 0 where it
// wasn't tried.
func CeilingOf(results []measure.Result) float64 {
	least := 0.0
	for _, r := range results {
		if r.Ceiling > 0 && (least == 0 || r.Ceiling < least) {
			least = r.Ceiling
		}
	}
	return least
}

// Comparison is what two runs say beside each other: A, and B against it.
type Comparison struct {
	Apart    []Apart // why their numbers may not be comparable: to be told before any of these
	Pairs    []Pair  // by cell
	Sentence string
}

// Apart is something besides what is asked in which two runs differ.
type Apart struct {
	What string // "host", "engine", "image"
	A, B string // empty: not known
}

// Pair is a cell of two runs, nil where a run hasn't it.
type Pair struct {
	Limits experiment.Limits
	A, B   *Cell
	Ratio  *Ratio // how many times the load of A's cell B's carries; nil where the brackets don't tell
}

// Turned reports whether a cell that ended in one way in A ended otherwise in B.
func (p Pair) Turned() bool { return p.A != nil && p.B != nil && p.A.Outcome != p.B.Outcome }

// Ratio is between which numbers a quotient lies. It comes from two brackets, of
// which nobody knows where in them the failure point is.
type Ratio struct {
	Low  float64
	High *float64 // nil: no upper bound is known
}

// Relation is what a [Ratio] says of B.
type Relation string

// The relations. Brackets that overlap show none, nor do two cells that carried
// all that they were asked for.
const (
	More   Relation = "more"
	Less   Relation = "less"
	NoMore Relation = "not told apart"
)

// Relation says what p's brackets show, or nothing where they don't tell.
func (p Pair) Relation() Relation {
	switch {
	case p.A != nil && p.B != nil && p.A.Outcome == Passed && p.B.Outcome == Passed:
		return NoMore
	case p.Ratio == nil:
		return ""
	case p.Ratio.Low > 1:
		return More
	case p.Ratio.High != nil && *p.Ratio.High < 1:
		return Less
	default:
		return NoMore
	}
}

// Compare puts two runs side by side.
func Compare(a, b Side) Comparison {
	c := Comparison{Apart: apart(a, b)}
	sameUnit := a.Experiment.Users.Open() == b.Experiment.Users.Open()
	limits := experiment.Matrix{}
	for _, s := range []Side{a, b} {
		for _, cell := range s.Surface.Cells {
			limits.List = append(limits.List, cell.Trial.Limits)
		}
	}
	for _, l := range limits.Cells() {
		p := Pair{Limits: l, A: a.Surface.cell(l), B: b.Surface.cell(l)}
		if sameUnit && p.A != nil && p.B != nil {
			p.Ratio = ratio(*p.A, *p.B)
		}
		c.Pairs = append(c.Pairs, p)
	}
	c.Sentence = strings.Join(append(leastOf(a, b), c.tally()), " ")
	return c
}

// cell returns the cell with these limits, or nil.
func (s Surface) cell(l experiment.Limits) *Cell {
	i := slices.IndexFunc(s.Cells, func(c Cell) bool { return c.Trial.Limits == l })
	if i < 0 {
		return nil
	}
	return &s.Cells[i]
}

// bounds returns between which loads a cell begins to fail: it carried low, and
// not high, which is 0 where nothing is known to be too much.
func (c Cell) bounds() (low, high float64) {
	if c.LastPass != nil {
		low = float64(c.LastPass.Users)
	}
	if c.FirstFail != nil {
		high = float64(c.FirstFail.Users)
	}
	if high < low && high > 0 { // it failed to hold what it had passed
		low = 0
	}
	return low, high
}

// ratio returns from [lo A, hi A] and [lo B, hi B]: [lo B / hi A, hi B / lo A].
func ratio(a, b Cell) *Ratio {
	if !a.Measured || !b.Measured {
		return nil
	}
	lowA, highA := a.bounds()
	lowB, highB := b.bounds()
	r := Ratio{}
	if highA > 0 {
		r.Low = lowB / highA
	}
	if lowA > 0 && highB > 0 {
		r.High = new(highB / lowA)
	}
	if r.Low == 0 && r.High == nil {
		return nil
	}
	return &r
}

// tally counts what the cells that both runs have show.
func (c Comparison) tally() string {
	count, both, turned := map[Relation]int{}, 0, 0
	for _, p := range c.Pairs {
		if p.A == nil || p.B == nil {
			continue
		}
		both++
		count[p.Relation()]++
		if p.Turned() {
			turned++
		}
	}
	if both == 0 {
		return "No configuration is in both."
	}
	parts := []string{fmt.Sprintf("Of %s in both, B carries more on %d and less on %d", configurations(both), count[More], count[Less])}
	for _, more := range []struct {
		n    int
		what string
	}{{count[NoMore], "%d can't be told apart"}, {count[""], "of %d too little is known"}, {turned, "%d ended otherwise"}} {
		if more.n > 0 {
			parts = append(parts, fmt.Sprintf(more.what, more.n))
		}
	}
	return strings.Join(parts, "; ") + "."
}

func configurations(n int) string {
	if n == 1 {
		return "1 configuration"
	}
	return Thousands(n) + " configurations"
}

// leastOf says what both name as the minimal configuration, and what that
// changes.
func leastOf(a, b Side) []string {
	x, y := a.Surface.Minimal, b.Surface.Minimal
	asked := func(s Side) string { return Thousands(s.Surface.Target) + " " + s.Experiment.Users.Unit() }
	load := "the load"
	if asked(a) == asked(b) {
		load = asked(a)
	}
	switch {
	case x == nil && y == nil:
		return []string{"Neither run names a least configuration that carries " + load + "."}
	case y == nil:
		return []string{fmt.Sprintf("%s is the least that carries %s in A; B names none.", x.Limits, load)}
	case x == nil:
		return []string{fmt.Sprintf("%s is the least that carries %s in B; A names none.", y.Limits, load)}
	case x.Limits == y.Limits:
		return []string{fmt.Sprintf("%s is the least that carries %s in both.", x.Limits, load)}
	}
	text := fmt.Sprintf("The least that carries %s is %s in A and %s in B", load, x.Limits, y.Limits)
	if a.Experiment.Price == b.Experiment.Price && x.PriceHour > 0 && x.PriceHour != y.PriceHour {
		word, share := "less", 1-y.PriceHour/x.PriceHour
		if share < 0 {
			word, share = "more", -share
		}
		text += fmt.Sprintf(", which costs %s %s", percent(share), word)
	}
	return []string{text + "."}
}

// apart returns in what two runs differ that may be why their numbers do.
func apart(a, b Side) []Apart {
	var out []Apart
	differ := func(what, x, y string) {
		if x != y {
			out = append(out, Apart{what, x, y})
		}
	}
	m, n := a.Manifest, b.Manifest
	differ("experiment", a.Surface.Experiment, b.Surface.Experiment)
	differ("question (service, request or load)", m.Question, n.Question)
	differ("target", fmt.Sprintf("%s %s", Thousands(a.Surface.Target), a.Experiment.Users.Unit()), fmt.Sprintf("%s %s", Thousands(b.Surface.Target), b.Experiment.Users.Unit()))
	differ("objective", a.Surface.Objective.String(), b.Surface.Objective.String())
	differ("host", machine(m.Host), machine(n.Host))
	known := len(m.Examined) > 0 && len(n.Examined) > 0
	differ("engine", engineOf(m, known), engineOf(n, known))
	differ("image", imagesOf(m), imagesOf(n))
	differ("container", m.Blueprint, n.Blueprint)
	differ("placement", placed(m.Placement), placed(n.Placement))
	differ("version of sweep, its agent included", m.Version, n.Version)
	if unlike(a.Ceiling, b.Ceiling) {
		out = append(out, Apart{"ceiling of the agent", ceiling(a.Ceiling), ceiling(b.Ceiling)})
	}
	if p, q := a.Experiment.Price, b.Experiment.Price; p != q {
		out = append(out, Apart{"price", price(p), price(q)})
	}
	return out
}

// drift is by how much an agent's ceiling may differ between two runs on one
// machine, as a share: it is tried for seconds, beside whatever else runs.
const drift = 0.2

func unlike(x, y float64) bool {
	return x > 0 && y > 0 && max(x, y) > (1+drift)*min(x, y)
}

func ceiling(x float64) string { return whole(x) + " requests/s" }

func price(p experiment.Price) string {
	return fmt.Sprintf("$%g a CPU hour, $%g a GiB hour", p.CPUHour, p.GiBHour)
}

func machine(h measure.Host) string {
	return fmt.Sprintf("%d CPUs, %s MiB, %s, %s, kernel %s", h.CPUs, whole(h.Memory.MiB()), h.Architecture, cmp.Or(h.OS, "unknown system"), cmp.Or(h.Kernel, "unknown"))
}

// engineOf names the engine, and where that is known what runs and limits
// containers for it.
func engineOf(m measure.Manifest, known bool) string {
	parts := []string{cmp.Or(m.Host.Engine, "unknown"), "API " + cmp.Or(m.Host.API, "unknown"), "cgroup v" + cmp.Or(m.Host.CgroupVersion, "?")}
	if known {
		x := m.Examined[len(m.Examined)-1]
		parts = append(parts, x.Runtime, x.CgroupDriver)
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

// imagesOf names what the service was started from.
func imagesOf(m measure.Manifest) string {
	images := map[string]string{}
	for name, image := range m.Images {
		images[name] = image.ID
	}
	if m.Image != "" || m.ImageID != "" {
		images[m.Image] = m.ImageID
	}
	var parts []string
	for name, id := range images {
		parts = append(parts, strings.TrimSpace(name+" "+shortID(id)))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// shortID is as much of an image's id as people are shown.
func shortID(id string) string {
	const length = 12
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(len(id), length)]
}

func placed(p measure.Placement) string {
	if len(p.Service) == 0 && len(p.Generator) == 0 {
		return "shared"
	}
	return fmt.Sprintf("service on cores %v, generator on cores %v", p.Service, p.Generator)
}
