package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"sweep/pkg/analysis"
	"sweep/pkg/engine"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
	"sweep/pkg/store"
)

func doctorVerb(c console) *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "can this machine and engine measure honestly?",
		UsageText: "sweep doctor [FILE] [--results DIR] [--json] [--context NAME]",
		Description: "Starts a probe under limits, takes more than they grant, and looks at what becomes of it and\n" +
			"at the machine. With FILE it also looks whether there is room for that experiment. Exit code 0\n" +
			"where no check failed, whatever it warns of.\n" +
			"Example:\n   sweep doctor experiments/matrix.yaml",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "results", Value: "results", Usage: "results would go to `DIR`"},
			&cli.BoolFlag{Name: "json", Usage: "print the checks, and all that was seen, as JSON"},
			contextFlag(),
		},
		Action: func(x *cli.Context) error {
			if x.Args().Len() > 1 {
				return usagef("doctor takes one experiment file at most; see sweep doctor --help")
			}
			return doctor(x.Context, c, x.Args().First(), x.String("results"), x.String("context"), x.Bool("json"))
		},
	}
}

// anyUsers is how many users are asked for where no experiment says.
const anyUsers = 10000

// diagnosis is what the doctor found, as JSON.
type diagnosis struct {
	Schema      string               `json:"schema"`
	Fit         bool                 `json:"fit"` // no check failed
	Checks      []analysis.Check     `json:"checks"`
	Examination *measure.Examination `json:"examination,omitempty"` // nil where no engine answers
}

// doctor examines engine and machine and prints what it found. It fails where
// a check does.
func doctor(ctx context.Context, c console, file, results, contextName string, asJSON bool) error {
	need := analysis.Need{Users: anyUsers}
	if file != "" {
		e, err := readExperiment(file)
		if err != nil {
			return err
		}
		need.Users, need.Cells, need.Elsewhere = e.Users.Target, e.Matrix.Cells(), e.Placement.Swarm != nil
	}
	need.Free, _ = store.Free(results) // an unknown is a check that isn't visible
	fmt.Fprintln(c.err, "Running a probe under limits; this takes a few seconds.")
	d, err := diagnose(ctx, contextName, need)
	if err != nil {
		return err
	}
	if asJSON {
		encoder := json.NewEncoder(c.out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(d)
	} else {
		err = printDiagnosis(c.out, d)
	}
	if n := len(analysis.Failed(d.Checks)); err == nil && n > 0 {
		return fmt.Errorf("%s failed", plural(n, "check"))
	}
	return err
}

// diagnose examines the engine. One that can't be reached, or can't run the
// probe, is among what it finds; an error is the end of ctx, or that what was
// started couldn't be removed.
func diagnose(ctx context.Context, contextName string, need analysis.Need) (d diagnosis, err error) {
	var found []analysis.Check
	fail := func(name string, err error) {
		found = append(found, analysis.Check{Name: name, State: analysis.Unfit, Seen: err.Error()})
	}
	eng, err := engine.Connect(ctx, contextName)
	if err == nil {
		defer eng.Close() //nolint:errcheck // nothing is under way any more
		var x measure.Examination
		if x, err = examineOnce(ctx, eng, fail); err == nil {
			d.Examination = &x
			found = append(analysis.Fitness(x, need), found...)
		}
	}
	switch {
	case ctx.Err() != nil:
		return d, errors.Join(err, ctx.Err())
	case err != nil:
		fail("engine", err)
	}
	d.Schema, d.Checks, d.Fit = "sweep.doctor/v1", found, len(analysis.Failed(found)) == 0
	return d, nil
}

// examineOnce examines an engine with an agent of its own. Where the engine
// can't have one, fail is told, and the rest is examined without.
func examineOnce(ctx context.Context, eng *engine.Engine, fail func(string, error)) (x measure.Examination, err error) {
	owner, release, err := visitor("doctor")
	if err != nil {
		return x, err
	}
	defer func() { err = errors.Join(err, release()) }()
	binary, err := os.Executable()
	if err != nil {
		return x, fmt.Errorf("finding the probe, which is this program: %w", err)
	}
	agent, err := eng.LoadAgent(ctx, owner, binary)
	if err != nil {
		fail("agent", err)
		return eng.Examine(ctx, nil) //nolint:wrapcheck // says what failed
	}
	defer func() { err = errors.Join(err, agent.Remove(context.WithoutCancel(ctx))) }()
	return eng.Examine(ctx, agent) //nolint:wrapcheck // says what failed
}

// visitor returns the owner of what a verb makes outside of any run. It has a
// folder that is locked until release, so that restore can tell whether it lives.
func visitor(verb string) (o engine.Owner, release func() error, err error) {
	host, err := thisHost()
	if err != nil {
		return o, nil, err
	}
	dir, err := os.MkdirTemp("", "sweep-"+verb+"-")
	if err != nil {
		return o, nil, fmt.Errorf("making a folder to lock: %w", err)
	}
	lock, err := store.Claim(dir)
	if err != nil {
		return o, nil, errors.Join(err, os.RemoveAll(dir))
	}
	release = func() error { return errors.Join(lock.Close(), os.RemoveAll(dir)) }
	return engine.Owner{Run: filepath.Base(dir), Dir: dir, Host: host}, release, nil
}

// sign is a check's state as people read it, with or without colours.
func sign(s analysis.State) string {
	switch s {
	case analysis.OK:
		return "✓ ok"
	case analysis.Warned:
		return "! warning"
	case analysis.Unfit:
		return "✗ failure"
	case analysis.NotVisible:
		return "? not visible"
	}
	return string(s)
}

func printDiagnosis(w io.Writer, d diagnosis) error {
	counts := map[analysis.State]int{}
	for _, check := range d.Checks {
		counts[check.State]++
		fmt.Fprintf(w, "%-13s  %-19s  %s\n", sign(check.State), check.Name, check.Seen)
		if check.Advice != "" {
			fmt.Fprintf(w, "%-13s  %-19s  -> %s\n", "", "", check.Advice)
		}
	}
	verdict := "This machine and engine can measure honestly"
	if !d.Fit {
		verdict = "What this machine and engine measured would be wrong"
	}
	_, err := fmt.Fprintf(w, "\n%s: %d ok, %s, %s, %d not visible from here.\n", verdict,
		counts[analysis.OK], plural(counts[analysis.Warned], "warning"), plural(counts[analysis.Unfit], "failure"), counts[analysis.NotVisible])
	return err //nolint:wrapcheck // nothing to add to a closed pipe
}

// examine looks at engine and machine before a run's trials, decides which
// cores these run on, and records both. It fails where what would be measured
// would be wrong. It takes some two seconds.
func examine(ctx context.Context, c console, eng *engine.Engine, agent *engine.Agent, results *store.Run, e *experiment.Experiment) error {
	x, err := eng.Examine(ctx, agent)
	if err != nil {
		return fmt.Errorf("examining the engine: %w", err)
	}
	checks := analysis.Fitness(x, analysis.Need{Users: e.Users.Target, Elsewhere: e.Placement.Swarm != nil})
	if failed := analysis.Failed(checks); len(failed) > 0 {
		return unfit(failed)
	}
	for _, check := range checks {
		if check.State == analysis.Warned {
			fmt.Fprintf(c.err, "Warning: %s: %s. To do: %s.\n", check.Name, check.Seen, check.Advice)
		}
	}
	place := results.Manifest.Placement // of the trials that are recorded already
	if e.Placement.Separate() && len(results.Manifest.Examined) == 0 {
		place = analysis.Place(coresOf(x), e.Matrix.Cells())
	}
	if l, ok := analysis.Cramped(place, x.Host, e.Matrix.Cells()); ok {
		return fmt.Errorf("this run gives its service %s, and %s needs more; --fresh places all cells anew", plural(len(place.Service), "core"), l)
	}
	agent.Cores = place.Generator
	return results.Examined(x, place) //nolint:wrapcheck // says which file and what to do
}

// unfit says why nothing is measured.
func unfit(failed []analysis.Check) error {
	lines := []string{"what would be measured here would be wrong; `sweep doctor` looks again"}
	for _, check := range failed {
		lines = append(lines, fmt.Sprintf("%s: %s. To do: %s", check.Name, check.Seen, check.Advice))
	}
	return errors.New(strings.Join(lines, "\n"))
}

// coresOf returns the host's cores, as far as they are known.
func coresOf(x measure.Examination) [][]int {
	if x.Trial == nil || x.Trial.Saw == nil || len(x.Trial.Saw.Cores) == 0 {
		return analysis.Cores(x.Host.CPUs)
	}
	return x.Trial.Saw.Cores
}
