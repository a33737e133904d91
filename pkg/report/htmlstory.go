package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// stories returns what is told of each cell; with pictures, where pictured says so
// of its id.
func (r Run) stories(w *wardrobe, pictured func(id string) bool) ([]story, error) {
	var out []story
	for i, c := range r.Surface.Cells {
		s := r.words(i, c)
		if pictured(s.ID) && c.Measured {
			with, err := r.whole(trialsOf(c)...)
			if err != nil {
				return nil, err
			}
			if s.Starts, err = with.speaker(w, c); err != nil {
				return nil, err
			}
			if s.Figures, err = with.figures(w, c); err != nil {
				return nil, err
			}
		}
		out = append(out, s)
	}
	return out, r.addStarts(w, out)
}

// words returns a cell's story without pictures.
func (r Run) words(i int, c analysis.Cell) story {
	s := story{cellHead: r.head(i, c), Outcome: r.ended(c), Bracket: bracket(c, r.unit()), Cause: cause(c), Notes: notes(c), Each: r.startsOf(c)}
	s.Sign = signOf(s.Kind)
	if text := r.foretells(c); text != "" {
		s.Notes = append(s.Notes, text)
	}
	if c.Cause != nil {
		for _, e := range c.Cause.Evidence {
			s.Evidence = append(s.Evidence, clean(e, lineLength))
		}
		if by := c.Cause.ConfirmedBy; by != "" {
			s.Evidence = append(s.Evidence, "confirmed by "+clean(by, lineLength))
		}
	}
	return s
}

// trialsOf returns what was run of a cell.
func trialsOf(c analysis.Cell) []experiment.Trial {
	var out []experiment.Trial
	for _, v := range c.Starts {
		out = append(out, v.Trial)
	}
	return out
}

// speaker returns the start that speaks for a cell.
func (r Run) speaker(w *wardrobe, c analysis.Cell) ([]start, error) {
	all := r.speaking(c)
	if len(all) == 0 {
		return nil, nil
	}
	s, err := r.start(w, all[0])
	s.Speaks, s.Figure.Note = len(all) > 1, "" // the story says it
	return []start{s}, err
}

// roomForStarts is how many bytes the other starts take on the page at most. The
// pictures of more are drawn with --trials.
const roomForStarts = 300_000

// addStarts adds the other starts of each cell while there is room: one for each
// cell, then another one for each.
func (r Run) addStarts(w *wardrobe, stories []story) error {
	type other struct {
		cell, round int
		start       analysis.Verdict
	}
	var queue []other
	for i, c := range r.Surface.Cells {
		if len(stories[i].Starts) > 0 {
			for round, v := range r.speaking(c)[1:] {
				queue = append(queue, other{i, round, v})
			}
		}
	}
	slices.SortStableFunc(queue, func(a, b other) int { return cmp.Compare(a.round, b.round) })
	room := roomForStarts
	for _, o := range queue {
		if room > 0 {
			with, err := r.whole(o.start.Trial)
			if err != nil {
				return err
			}
			s, err := with.start(w, o.start)
			if err != nil {
				return err
			}
			if room -= s.Figure.size(); room >= 0 {
				stories[o.cell].Starts = append(stories[o.cell].Starts, s)
				continue
			}
		}
		stories[o.cell].Omitted++
	}
	return nil
}

// start returns one start, second by second.
func (r Run) start(w *wardrobe, v analysis.Verdict) (start, error) {
	one := analysis.Cell{Verdict: v, Measured: true, Proved: true}
	s := start{Name: r.started(v.Trial), Kind: kind(one), Sign: signOf(kind(one)), Outcome: r.outcome(one)}
	var err error
	if s.Figure, err = w.pictured(Ramp(r, v.Trial), named(v.Trial.Limits)+", "+s.Name+", second by second"); err != nil {
		return start{}, err
	}
	if res := r.result(v.Trial); res != nil && len(res.Series.Windows) > 0 {
		s.Figure.Tables = []*data{seconds(*res)}
	}
	return s, nil
}

// speaking returns the starts of a cell that are stored, the one whose bracket it has
// first.
func (r Run) speaking(c analysis.Cell) []analysis.Verdict {
	var first, rest []analysis.Verdict
	for _, v := range c.Starts {
		switch {
		case r.result(v.Trial) == nil:
		case v.Trial == c.Trial:
			first = append(first, v)
		default:
			rest = append(rest, v)
		}
	}
	return append(first, rest...)
}

// size returns about how many bytes the figure takes.
func (f figure) size() int {
	n := len(f.SVG)
	for _, t := range f.Tables {
		for _, row := range t.Rows {
			for _, text := range row {
				n += len("<td>") + len(text)
			}
		}
	}
	return n
}

// figures returns how a cell answers by the load, where there was any.
func (r Run) figures(w *wardrobe, c analysis.Cell) ([]figure, error) {
	if !slices.ContainsFunc(c.Starts, func(v analysis.Verdict) bool {
		res := r.result(v.Trial)
		return res != nil && len(res.Series.Windows) > 0
	}) {
		return nil, nil
	}
	name := named(c.Trial.Limits)
	curve, err := w.pictured(Curve(r, c), name+", by "+r.unit())
	if err != nil {
		return nil, err
	}
	curve.Tables = []*data{steps(r.unit(), climb(r.ramped(c)))}
	if held := r.holds(c); len(held) > 0 {
		curve.Tables = append(curve.Tables, r.holdTable(held))
	}
	shares, err := w.pictured(Percentiles(r, c), name+", by percentile")
	if err != nil {
		return nil, err
	}
	shares.Tables, shares.Axis = []*data{percentileTable(r, c)}, false
	return []figure{curve, shares}, nil
}

// holdTable returns the points of a curve and their bars, in numbers.
func (r Run) holdTable(held []heldLevel) *data {
	d := &data{Title: "Holds, each from its best second to its worst, in numbers", Heads: []string{"hold", "outcome", "seconds", "right/s", "p50 ms", "p95 ms", "p99 ms"}}
	for _, h := range held {
		row := []string{r.started(h.start.Trial), r.outcome(analysis.Cell{Verdict: h.start, Measured: true, Proved: true}), strconv.Itoa(len(h.seconds))}
		barred := func(value float64, second func(measure.Window) float64, unit float64) string {
			low, high := h.between(second)
			if math.IsNaN(low) {
				return number(unit * value)
			}
			return fmt.Sprintf("%s (%s – %s)", number(unit*value), number(unit*low), number(unit*high))
		}
		const ms = 1000
		d.Rows = append(d.Rows, append(row,
			barred(h.level.Throughput, func(w measure.Window) float64 { return perSecond(w, w.Answered) }, 1),
			barred(h.level.P50.Seconds(), quantile(0.5), ms), barred(h.level.P95.Seconds(), quantile(0.95), ms), barred(h.level.P99.Seconds(), quantile(0.99), ms)))
	}
	return d
}

// mostRows is how many rows the table of a trial has at most: of a longer one
// each tells of several seconds.
const mostRows = 100

// seconds returns what a film shows, in numbers.
func seconds(res measure.Result) *data {
	ws := res.Series.Windows
	each := (len(ws) + mostRows - 1) / mostRows
	classes := clock(ws).failed()
	d := &data{Title: "Second by second, in numbers", Heads: []string{"s", "users", "asked/s", "right/s", "failed/s"}}
	for _, class := range classes {
		d.Heads = append(d.Heads, string(class)+"/s")
	}
	d.Heads = append(d.Heads, "p50 ms", "p95 ms", "p99 ms", "CPU %", "stopped %", "MiB", "overflows/s", "lag p99 ms")
	if each > 1 {
		d.Title = fmt.Sprintf("Every %d seconds, in numbers", each)
	}
	for _, w := range clock(ws).coarser(mostRows) {
		d.Rows = append(d.Rows, secondsRow(res.Trial.Limits, w, classes))
	}
	return d
}

func secondsRow(limits experiment.Limits, w measure.Window, classes []measure.Class) []string {
	row := []string{
		number(w.End().Seconds()), analysis.Thousands(w.Users),
		number(perSecond(w, w.Sent)), number(perSecond(w, w.Answered)), number(perSecond(w, w.Failed())),
	}
	for _, class := range classes {
		row = append(row, number(perSecond(w, w.Errors[class])))
	}
	row = append(row, quantileText(w.Response, 0.5), quantileText(w.Response, 0.95), quantileText(w.Response, 0.99))
	if u := w.Usage; u != nil {
		row = append(row, number(100*u.CPU/limits.CPU.Float()), told(throttled(*u)), number(u.Memory.MiB()))
	} else {
		row = append(row, none, none, none)
	}
	overflows := math.NaN()
	if w.Network != nil {
		overflows = perSecond(w, w.Network.ListenOverflows)
	}
	return append(row, told(overflows), quantileText(w.Lag, 0.99))
}

// steps returns what a curve shows of a ramp, in numbers.
func steps(unit string, climbed []rung) *data {
	d := &data{Title: "By " + unit + ", in numbers", Heads: []string{unit, "seconds", "asked/s", "right/s", "failed/s", "p50 ms", "p95 ms", "p99 ms"}}
	for _, g := range climbed {
		per := func(n uint64) string { return number(float64(n) / g.seconds) }
		d.Rows = append(d.Rows, []string{
			analysis.Thousands(int(math.Round(g.users))), number(g.seconds), per(g.all.Sent), per(g.all.Answered), per(g.all.Failed()),
			quantileText(g.all.Response, 0.5), quantileText(g.all.Response, 0.95), quantileText(g.all.Response, 0.99),
		})
	}
	return d
}

// percentileTable returns a distribution at its best known places, in numbers.
func percentileTable(r Run, c analysis.Cell) *data {
	d := &data{Title: "By percentile, in numbers", Heads: []string{"about", "answers", "p50 ms", "p90 ms", "p95 ms", "p99 ms", "p99.9 ms", "longest ms"}}
	ws := r.ramped(c)
	for _, l := range []*analysis.Level{c.LastPass, c.FirstFail} {
		if l == nil {
			continue
		}
		h := withAbout(ws, l.Users)
		row := []string{users(*l) + " " + r.unit(), analysis.Thousands(int(h.Count()))}
		for _, q := range []float64{0.5, 0.9, 0.95, 0.99, 0.999, 1} {
			row = append(row, quantileText(h, q))
		}
		d.Rows = append(d.Rows, row)
	}
	return d
}

// told writes a number, or that there is none.
func told(x float64) string {
	if math.IsNaN(x) {
		return none
	}
	return number(x)
}

func quantileText(h measure.Histogram, q float64) string {
	if h.Count() == 0 {
		return none
	}
	return number(milliseconds(h.Quantile(q)))
}

// startsOf returns what each start of a cell told, where it was started more
// than once.
func (r Run) startsOf(c analysis.Cell) *data {
	if len(c.Starts) < 2 {
		return nil
	}
	d := &data{Title: "Each start", Heads: []string{"start", "outcome", "last pass", "first fail", "req/s", "p99", "cause"}}
	for _, v := range c.Starts {
		one := analysis.Cell{Verdict: v, Measured: true, Proved: true}
		d.Rows = append(d.Rows, []string{
			r.started(v.Trial), r.outcome(one), level(v.LastPass, users), level(v.FirstFail, users),
			level(v.LastPass, func(l analysis.Level) string { return number(l.Throughput) }),
			level(v.LastPass, func(l analysis.Level) string { return analysis.Short(l.P99) }), dash(cause(one)),
		})
	}
	return d
}

// environment returns what a run was made with, as far as it is recorded.
func (r Run) environment() []fact {
	m := r.Manifest
	host := m.Host
	var out []fact
	add := func(name, text string) {
		if text = clean(text, lineLength); text != "" {
			out = append(out, fact{name, text})
		}
	}
	add("Run", r.ID)
	if !m.Began.IsZero() {
		add("Began", m.Began.UTC().Format(time.RFC3339))
	}
	add("sweep", m.Version)
	if host.CPUs > 0 {
		add("Host", fmt.Sprintf("%d CPUs, %s MiB, %s, %s, kernel %s", host.CPUs, number(math.Floor(host.Memory.MiB())), host.Architecture, host.OS, host.Kernel))
	}
	if host.Engine != "" {
		add("Engine", fmt.Sprintf("%s, API %s, control groups version %s", host.Engine, host.API, host.CgroupVersion))
	}
	if m.ImageID != "" {
		add("Image", strings.Join(append([]string{m.Image, m.ImageID}, m.Digests...), " "))
	}
	for _, name := range slices.Sorted(maps.Keys(m.Images)) {
		add("Image", strings.Join(append([]string{name, m.Images[name].ID}, m.Images[name].Digests...), " "))
	}
	add("Containers made from", m.Blueprint)
	if len(m.Placement.Service) > 0 {
		add("Cores", fmt.Sprintf("service %v, generator %v", m.Placement.Service, m.Placement.Generator))
	}
	if m.Seed != 0 {
		add("Seed", strconv.FormatInt(m.Seed, 10))
	}
	if e := r.Experiment; e != nil {
		add("Load", strings.Join(pace(e.Users), ", "))
	}
	add("Objective", r.Surface.Objective.String())
	add("Prices", strings.TrimPrefix(strings.Join(r.priced(), ""), "prices: "))
	return out
}
