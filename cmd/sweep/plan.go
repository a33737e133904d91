package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"sweep/pkg/analysis"
	"sweep/pkg/engine"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
	"sweep/pkg/search"
	"sweep/pkg/sweep"
)

func planVerb(c console) *cli.Command {
	return &cli.Command{
		Name:        "plan",
		Usage:       "show the trials in order and how long they take, without running any",
		UsageText:   "sweep plan FILE [--json] [--context NAME]",
		Description: "Example:\n   sweep plan experiments/matrix.yaml",
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print the plan as JSON"}, contextFlag()},
		Action: func(x *cli.Context) error {
			file, err := oneArgument(x, "one experiment file")
			if err != nil {
				return err
			}
			return plan(x.Context, c.out, file, x.String("context"), x.Bool("json"))
		},
	}
}

// planned is a plan as JSON.
type planned struct {
	Schema   string        `json:"schema"`
	Strategy string        `json:"strategy"`
	Preset   string        `json:"preset"`
	Repeats  int           `json:"repeats"`
	Seed     int64         `json:"seed"` // of the order of trials
	Presets  []plannedWork `json:"presets"`
	Notes    []string      `json:"notes,omitempty"` // what happens to what runs already

	Placement *plannedPlacement `json:"placement,omitempty"` // nil where service and generator share all cores, or nothing is known of the host

	Trials []plannedTrial `json:"trials"` // the ramps, in order; with a frontier one of every cell that may come to it

	known bool // what the engine's host is
}

// plannedWork is what a preset takes, the experiment being the same otherwise.
type plannedWork struct {
	Preset  string  `json:"preset"`
	Ramps   int     `json:"ramps"`
	Holds   int     `json:"holds"`
	Bound   string  `json:"bound,omitempty"` // "at most" or "about"; nothing: exactly so many
	Seconds float64 `json:"seconds"`         // at most or about, without the service's boot
}

func (w plannedWork) String() string {
	text := plural(w.Ramps, "ramp")
	if w.Holds > 0 {
		text += ", some " + plural(w.Holds, "hold")
	}
	bound := "at most"
	if w.Bound == string(search.About) {
		bound = w.Bound
	} else {
		text = bounded(search.Bound(w.Bound), text)
	}
	return fmt.Sprintf("%s: %s %s", text, bound, roundly(w.Seconds))
}

// plannedPlacement is how many cores service and generator get to themselves.
// Which ones is known when the run has looked at the host.
type plannedPlacement struct {
	Service   int `json:"service"`
	Generator int `json:"generator"` // 0: none is left
}

// String says it in a sentence, or nothing where there is nothing to say.
func (p *plannedPlacement) String() string {
	switch {
	case p == nil:
		return ""
	case p.Generator == 0:
		return "Service and generator share all cores: the biggest cell leaves none."
	default:
		return fmt.Sprintf("The service runs on %s, the generator on %s of its own.", plural(p.Service, "core"), plural(p.Generator, "core"))
	}
}

// elsewherePlanned says in a sentence which other machines make the load, or
// nothing where none do.
func elsewherePlanned(e *experiment.Experiment) string {
	s := e.Placement.Swarm
	if s == nil {
		return ""
	}
	who, where := plural(s.Agents, "agent"), "other nodes of the Docker Swarm"
	if l := e.Generator.Locust; l != nil {
		who = plural(l.Workers, "Locust worker")
	}
	if s.Constraint != "" {
		where += " with " + s.Constraint
	}
	return fmt.Sprintf("The load comes from %s on %s.", who, where)
}

type plannedTrial struct {
	experiment.Trial
	Seconds float64 `json:"seconds"`
	Skipped string  `json:"skipped,omitempty"` // why it won't be run
	Warning string  `json:"warning,omitempty"` // what makes its answer doubtful
}

func plan(ctx context.Context, w io.Writer, file, contextName string, asJSON bool) error {
	e, err := readExperiment(file)
	if err != nil {
		return err
	}
	host, notes, hostErr := foresee(ctx, e, filepath.Dir(file), contextName)
	p := planTrials(e, host)
	p.Notes, p.known = notes, host.CPUs > 0
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(p)
	}
	printPlan(w, e, p, hostErr)
	return nil
}

func printPlan(w io.Writer, e *experiment.Experiment, p planned, hostErr error) {
	fmt.Fprintf(w, "%s: %s %s, %s\n", e.Name, analysis.Thousands(e.Users.Target), e.Users.Unit(), e.Objective)
	for _, work := range p.Presets {
		chosen := " "
		if work.Preset == p.Preset {
			chosen = "*"
		}
		fmt.Fprintf(w, "%s %-8s %s\n", chosen, work.Preset, work)
	}
	switch {
	case hostErr == nil:
	case p.known:
		fmt.Fprintf(w, "It can't be run yet: %v\n", hostErr)
	default:
		fmt.Fprintf(w, "The engine didn't answer, so nothing is said of what it can't do: %v\n", hostErr)
	}
	for _, note := range p.Notes {
		fmt.Fprintln(w, note)
	}
	switch {
	case search.Frontier(e) && e.Search.Holds():
		fmt.Fprintf(w, "As outcomes decide, of these %d cells, the biggest first:\n", len(p.Trials))
	case search.Frontier(e):
		fmt.Fprintf(w, "As outcomes decide, of these %d cells, the biggest first%s:\n", len(p.Trials), times(p.Repeats))
	case p.Repeats > 1 && !e.Search.Holds():
		fmt.Fprintf(w, "Every cell %d times, in blocks that seed %d shuffles:\n", p.Repeats, p.Seed)
	}
	for _, text := range []string{p.Placement.String(), elsewherePlanned(e)} {
		if text != "" {
			fmt.Fprintln(w, text)
		}
	}
	wide := 16
	for _, t := range p.Trials {
		wide = max(wide, len(t.Limits.String()))
	}
	for i, t := range p.Trials {
		number := fmt.Sprintf("%3d.", i+1)
		if search.Frontier(e) {
			number = "   -"
		}
		fmt.Fprintf(w, "%s %-*s %s", number, wide, t.Limits, roundly(t.Seconds))
		switch {
		case t.Skipped != "":
			fmt.Fprintf(w, "  not run: %s", t.Skipped)
		case t.Warning != "":
			fmt.Fprintf(w, "  %s", t.Warning)
		}
		fmt.Fprintln(w)
	}
	if e.Search.Holds() {
		fmt.Fprintf(w, "Then holds of %s each, in an order that seed %d shuffles, until each failing cell's bracket is within %s%s.\n",
			roundly(sweep.TrialTime(e, experiment.Trial{Hold: e.Users.Target}).Seconds()), p.Seed, e.Search.Precision, times(p.Repeats))
	}
}

func times(repeats int) string {
	if repeats == 1 {
		return ""
	}
	return fmt.Sprintf(", each until most of %d starts agree", repeats)
}

func planTrials(e *experiment.Experiment, host measure.Host) planned {
	p := planned{Schema: "sweep.plan/v1", Strategy: e.Search.Strategy, Preset: e.Search.Preset, Repeats: e.Search.Repeats, Seed: e.Search.Seed}
	for _, preset := range []string{experiment.Quick, experiment.Standard, experiment.Certify} {
		other := *e
		other.Search.Preset = preset
		left := search.Left(&other, nil, impossible(host))
		p.Presets = append(p.Presets, plannedWork{preset, left.Ramps, left.Holds, string(left.Bound), sweep.WorkTime(e, left).Seconds()})
	}
	if e.Placement.Separate() && host.CPUs > 0 {
		place := analysis.Place(analysis.Cores(host.CPUs), e.Matrix.Cells())
		p.Placement = &plannedPlacement{len(place.Service), len(place.Generator)}
	}
	for _, t := range candidates(e) {
		pt := plannedTrial{Trial: t, Skipped: analysis.Impossible(t.Limits, host), Warning: crowded(e, t.Limits, host)}
		if pt.Skipped == "" {
			pt.Seconds = sweep.TrialTime(e, t).Seconds()
		}
		p.Trials = append(p.Trials, pt)
	}
	return p
}

// candidates returns the trials in order, or, where their order depends on how
// they come out, the first start of every cell.
func candidates(e *experiment.Experiment) []experiment.Trial {
	once := *e
	if search.Frontier(e) {
		once.Search.Repeats = 1
	}
	return search.Plan(&once)
}

// crowded warns where service and generator will want the same cores.
func crowded(e *experiment.Experiment, l experiment.Limits, host measure.Host) string {
	if e.Placement.Swarm != nil || !analysis.Crowded(l, host) {
		return ""
	}
	return fmt.Sprintf("leaves the generator less than a core of the host's %d: seconds in which they fight don't count", host.CPUs)
}

// foresee asks the engine for its host, and for what it would mean to run the
// experiment there, whose file is in a folder. It touches nothing.
func foresee(ctx context.Context, e *experiment.Experiment, folder, contextName string) (measure.Host, []string, error) {
	eng, err := engine.Connect(ctx, contextName)
	if err != nil {
		return measure.Host{}, nil, err //nolint:wrapcheck // says what to do
	}
	defer eng.Close() //nolint:errcheck // nothing is under way any more
	host, err := eng.Host(ctx)
	if err != nil {
		return host, nil, err //nolint:wrapcheck // says what failed
	}
	subject, err := eng.Find(ctx, e, folder)
	if err != nil {
		return host, nil, err //nolint:wrapcheck // says what to do
	}
	return host, subject.Notes, nil
}

func roundly(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second)
}
