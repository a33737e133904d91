package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"sweep/pkg/analysis"
	"sweep/pkg/engine"
	"sweep/pkg/experiment"
	"sweep/pkg/load"
	"sweep/pkg/measure"
	"sweep/pkg/report"
	"sweep/pkg/search"
	"sweep/pkg/store"
	"sweep/pkg/sweep"
)

func runVerb(c console) *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "run an experiment; again: continue it",
		UsageText: "sweep run FILE [--results DIR] [--only cpus=1,memory=200M] [--fresh] [--quiet] [--json] [--ui] [--context NAME]\n   sweep run --schema",
		Description: "Starts the service under each limit of the matrix, ramps users up until it fails or\n" +
			"has carried them all, and prints the answer. What is recorded isn't repeated.\n" +
			"Example:\n   sweep run experiments/matrix.yaml",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "results", Value: "results", Usage: "keep results in `DIR`"},
			&cli.StringFlag{Name: "only", Usage: "run only these `CELLS`: cpus=1,memory=200M, or one of the two; of a matrix with env or image also WORKERS=2, image=NAME"},
			&cli.BoolFlag{Name: "fresh", Usage: "start a new run even where an unfinished one could be continued"},
			&cli.BoolFlag{Name: "quiet", Usage: "show no progress"},
			&cli.BoolFlag{Name: "json", Usage: "print the answer as JSON instead of a table"},
			&cli.BoolFlag{Name: "ui", Usage: "show the sweep on a page while it runs; prints its address, which only this machine reaches"},
			contextFlag(),
			&cli.BoolFlag{Name: "schema", Usage: "print the JSON Schema of experiment files and stop"},
		},
		Action: func(x *cli.Context) error {
			if x.Bool("schema") {
				return printSchema(c.out)
			}
			file, err := oneArgument(x, "one experiment file")
			if err != nil {
				return err
			}
			return run(x.Context, c, runOptions{
				file: file, results: x.String("results"), only: x.String("only"),
				fresh: x.Bool("fresh"), quiet: x.Bool("quiet"), json: x.Bool("json"), ui: x.Bool("ui"), context: x.String("context"),
			})
		},
	}
}

type runOptions struct {
	file, results, only string
	context             string // docker's name of the engine; "" is the one that the docker command would use
	fresh, quiet, json  bool
	ui                  bool

	live *livePage // nil: none
}

// again returns the command that continues a run with these options.
func (o runOptions) again() string {
	parts := []string{"sweep", "run", quoted(o.file)}
	if o.results != "results" {
		parts = append(parts, "--results", quoted(o.results))
	}
	if o.only != "" {
		parts = append(parts, "--only", quoted(o.only))
	}
	if o.ui {
		parts = append(parts, "--ui")
	}
	if o.context != "" {
		parts = append(parts, "--context", quoted(o.context))
	}
	return strings.Join(parts, " ")
}

// quoted makes s one word of a shell's command line.
func quoted(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-=,:+@%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func printSchema(w io.Writer) error {
	text, err := experiment.Schema()
	if err != nil {
		return fmt.Errorf("making the schema: %w", err)
	}
	_, err = w.Write(text)
	return err //nolint:wrapcheck // nothing to add to a closed pipe
}

// run runs the experiment and prints its answer.
func run(ctx context.Context, c console, o runOptions) error {
	e, err := readExperiment(o.file)
	if err != nil {
		return err
	}
	if err := only(e, o.only); err != nil {
		return err
	}
	if _, err := load.NewPlan(e, "127.0.0.1:1"); err != nil {
		return err // of type Faults, or says which key
	}
	eng, err := engine.Connect(ctx, o.context)
	if err != nil {
		return err //nolint:wrapcheck // says what to do
	}
	defer eng.Close() //nolint:errcheck // nothing is under way any more
	did, err := clean(ctx, eng, func(engine.Owner) bool { return false })
	for _, what := range did {
		fmt.Fprintf(c.err, "A run that was killed had left something behind: %s.\n", what)
	}
	if err != nil {
		fmt.Fprintf(c.err, "Warning: %v.\n", err) // where it matters here, it shows
	}
	subject, err := eng.Prepare(ctx, e, filepath.Dir(o.file), say(c.err, o.quiet))
	if err != nil {
		return err //nolint:wrapcheck // says what to do
	}
	results, err := open(ctx, c, eng, subject, e, o)
	if err != nil {
		return err
	}
	defer results.Close() //nolint:errcheck // what was written is on the disk
	if o.ui {
		o.live = newLivePage(e, results)
	}
	err = measureAll(ctx, c, eng, subject, e, results, o, searching(e, results.Manifest.Host))
	if err != nil {
		err = unfinished(ctx, c, e, results, o, err)
	} else {
		err = conclude(c, results, o.json)
	}
	o.live.end(ctx, c.err, err)
	return err
}

// open continues the newest run of the experiment, if it asked the same of the
// same service on the same host, or begins a new one.
func open(ctx context.Context, c console, eng *engine.Engine, subject *engine.Subject, e *experiment.Experiment, o runOptions) (*store.Run, error) {
	m, err := manifest(ctx, eng, subject, e)
	if err != nil {
		return nil, err
	}
	if o.fresh {
		return store.Create(o.results, e, m) //nolint:wrapcheck // says which file and what to do
	}
	last, err := store.Latest(o.results, e.Name)
	if err != nil {
		return nil, err //nolint:wrapcheck // likewise
	}
	switch {
	case last == nil:
	case last.Manifest.Question != m.Question:
		fmt.Fprintf(c.err, "The experiment has changed since %s: this is a new run.\n", last.Dir())
	case changedImage(last.Manifest, m) != "":
		fmt.Fprintf(c.err, "The image %s has changed since %s: this is a new run.\n", changedImage(last.Manifest, m), last.Dir())
	case last.Manifest.Blueprint != m.Blueprint && last.Manifest.Blueprint != "": // older runs were all of an image alone
		fmt.Fprintf(c.err, "How the service is run (its command, environment, volumes or networks) has changed since %s: this is a new run.\n", last.Dir())
	case !last.Manifest.Host.Same(m.Host):
		fmt.Fprintf(c.err, "%s was measured on another host or engine: this is a new run.\n", last.Dir())
	default:
		awaitGuard(ctx, last.Dir())
		return resume(c, last, e, m.Images, o.only != "")
	}
	return store.Create(o.results, e, m) //nolint:wrapcheck // says which file and what to do
}

// changedImage returns the name of an image that isn't what it was when the run
// began, or nothing.
func changedImage(was, is measure.Manifest) string {
	if was.ImageID != is.ImageID {
		return is.Image
	}
	for _, name := range slices.Sorted(maps.Keys(is.Images)) {
		if known, ok := was.Images[name]; ok && known.ID != is.Images[name].ID {
			return name
		}
	}
	return ""
}

func resume(c console, run *store.Run, e *experiment.Experiment, images map[string]measure.Image, part bool) (*store.Run, error) {
	// A file that can't be read is found before anything is started.
	known, err := verdicts(run, e)
	if err != nil {
		return nil, err
	}
	if err := run.Lock(); err != nil {
		return nil, err //nolint:wrapcheck // likewise
	}
	if _, ok := search.Next(e, known, impossible(run.Manifest.Host)); !ok {
		fmt.Fprintf(c.err, "Everything is recorded in %s; --fresh measures it anew.\n", run.Dir())
	} else {
		fmt.Fprintf(c.err, "Continuing %s: %s.\n", run.Dir(), standing(e, known, run.Manifest.Host))
	}
	asked := *e
	if part { // of the matrix: the rest of it is still asked for
		asked.Matrix.List = append(e.Matrix.Cells(), run.Experiment.Matrix.Cells()...)
		asked.Matrix = experiment.Matrix{List: asked.Matrix.Cells()}
	}
	if err := errors.Join(run.Use(images), run.Ask(&asked)); err != nil {
		return nil, errors.Join(err, run.Close())
	}
	return run, nil
}

// verdicts judges what is recorded as the experiment asks now.
func verdicts(run *store.Run, e *experiment.Experiment) ([]analysis.Verdict, error) {
	_, all, err := judgeEach(run, func(r measure.Result) analysis.Verdict { return analysis.Judge(e, r) })
	return all, err
}

// impossible says of each cell why the host can't run it, or nothing.
func impossible(host measure.Host) func(experiment.Limits) string {
	return func(l experiment.Limits) string { return analysis.Impossible(l, host) }
}

// standing says how far a sweep has come: "2 of 5 trials are recorded".
func standing(e *experiment.Experiment, known []analysis.Verdict, host measure.Host) string {
	recorded, left := search.Recorded(e, known), search.Left(e, known, impossible(host))
	return fmt.Sprintf("%d of %s are recorded", recorded, bounded(left.Bound, plural(recorded+left.Trials(), "trial")))
}

// bounded says how well a number is known: "at most 5 trials".
func bounded(b search.Bound, text string) string {
	return strings.TrimSpace(string(b) + " " + text)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func manifest(ctx context.Context, eng *engine.Engine, subject *engine.Subject, e *experiment.Experiment) (measure.Manifest, error) {
	host, err := eng.Host(ctx)
	if err != nil {
		return measure.Manifest{}, err //nolint:wrapcheck // says what failed
	}
	image := subject.Image
	now := time.Now().UTC()
	m := measure.Manifest{
		Schema: store.ManifestSchema, Run: store.NewID(now), Began: now, Question: e.Digest(), Version: version(),
		Image: image.Ref, ImageID: image.ID, Digests: image.Digests, Blueprint: subject.Digest(), Seed: e.Search.Seed, Host: host,
	}
	for name, image := range subject.Images {
		if m.Images == nil {
			m.Images = map[string]measure.Image{}
		}
		m.Images[name] = measure.Image{ID: image.ID, Digests: image.Digests}
	}
	return m, nil
}

// searching is the course of a run: what the experiment's search asks for.
func searching(e *experiment.Experiment, host measure.Host) sweep.Course {
	return func(known []analysis.Verdict) (experiment.Trial, search.Work, bool) {
		t, more := search.Next(e, known, impossible(host))
		if !more {
			return t, search.Work{}, false
		}
		return t, search.Left(e, known, impossible(host)), true
	}
}

// measureAll runs the trials of a course that aren't recorded yet. Whatever it put into
// the engine is gone when it returns, and whatever it stopped runs again.
func measureAll(ctx context.Context, c console, eng *engine.Engine, subject *engine.Subject, e *experiment.Experiment, results *store.Run, o runOptions, course sweep.Course) (err error) {
	host := results.Manifest.Host
	announce(c.err, e, host)
	known, err := verdicts(results, e)
	if err != nil {
		return err
	}
	if _, _, more := course(known); !more {
		return nil
	}
	for _, note := range subject.Notes {
		fmt.Fprintln(c.err, note)
	}
	owner, err := ownerOf(results)
	if err != nil {
		return err
	}
	dismiss, err := startGuard(c.err, owner.Dir, o.context)
	if err != nil {
		return err
	}
	left := false // something couldn't be put back
	defer func() {
		if !left {
			dismiss()
		}
	}()
	undo := func(what func() error) {
		undoErr := what()
		left, err = left || undoErr != nil, errors.Join(err, undoErr)
	}
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the load agent, which is this program: %w", err)
	}
	agent, err := eng.LoadAgent(ctx, owner, binary)
	if err != nil {
		return err //nolint:wrapcheck // says what to do
	}
	defer undo(func() error { return agent.Remove(ctx) })
	if err := examine(ctx, c, eng, agent, results, e); err != nil {
		return err
	}
	if agent.Swarm, err = swarmOf(ctx, e, eng, owner, subject); err != nil {
		return err
	}
	defer undo(func() error { return agent.Swarm.Remove(ctx) })
	generator, disband, err := generatorOf(ctx, e, eng, agent, say(c.err, o.quiet))
	if err != nil {
		return err
	}
	ceiling, err := ceilingOf(ctx, e, generator)
	if err != nil {
		return err
	}
	if err := o.live.start(ctx, c.err); err != nil {
		return err
	}
	if err := subject.Take(ctx, owner, say(c.err, o.quiet)); err != nil {
		return err //nolint:wrapcheck // says what to do
	}
	defer undo(func() error { return release(ctx, c.err, subject, owner) })
	defer undo(disband) // before what it loads: it may be on its network
	show := newDisplay(c.err, o.quiet, e)
	defer show.end()
	s := sweep.Sweep{
		Experiment: e,
		Service: eng.Service(engine.Spec{
			Owner: owner, Subject: subject, From: e.Users.From, Port: e.Service.Port, Env: e.Service.Env, Experiment: e.Name,
			Cores: results.Manifest.Placement.Service, Swarm: agent.Swarm,
		}),
		Generator: generator,
		Ceiling:   ceiling,
		Recorder:  results,
		Known:     known,
		Next:      course,
		Observe: func(p sweep.Progress) {
			show.observe(p)
			o.live.observe(p)
		},
	}
	err = s.Run(ctx)
	left = err != nil && ctx.Err() == nil // an instrument that failed may not have been able to clean up
	return err                            //nolint:wrapcheck // says which trial
}

// say returns what tells the user how it goes, a line each time.
func say(w io.Writer, quiet bool) func(string) {
	if quiet {
		w = io.Discard
	}
	return func(what string) { fmt.Fprintf(w, "%s\n", what) }
}

// release puts the service's place back as it was, and says what isn't.
func release(ctx context.Context, w io.Writer, subject *engine.Subject, owner engine.Owner) error {
	changed, err := subject.Release(ctx, owner)
	for _, what := range changed {
		fmt.Fprintf(w, "Not as it was before: %s.\n", what)
	}
	if err != nil {
		return err //nolint:wrapcheck // says what to do
	}
	if err := subject.Healthy(ctx); err != nil && ctx.Err() == nil {
		fmt.Fprintf(w, "%v.\n", err)
	}
	return nil
}

// announce says what is about to happen and what can't, of all limits once.
func announce(w io.Writer, e *experiment.Experiment, host measure.Host) {
	limits := experiment.Matrix{}
	for _, l := range e.Matrix.Cells() {
		limits.List = append(limits.List, l.Bare())
	}
	for _, l := range limits.Cells() {
		if why := analysis.Impossible(l, host); why != "" {
			fmt.Fprintf(w, "%s is not run: %s.\n", l, why)
		} else if warning := crowded(e, l, host); warning != "" {
			fmt.Fprintf(w, "%s %s.\n", l, warning)
		}
	}
}

// unfinished says what became of a sweep that was stopped, by the user or by
// an instrument that failed, and how to go on.
func unfinished(ctx context.Context, c console, e *experiment.Experiment, results *store.Run, o runOptions, err error) error {
	if ctx.Err() != nil {
		fmt.Fprintln(c.err, "Interrupted.")
		if other := besides(err, context.Canceled); other != nil {
			fmt.Fprintln(c.err, "sweep:", other)
		}
	}
	known, readErr := verdicts(results, e)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	fmt.Fprintf(c.err, "%s in %s.\nContinue with: %s\n", standing(e, known, results.Manifest.Host), results.Dir(), o.again())
	return err
}

// besides returns what err holds besides target, nil where that is all.
func besides(err, target error) error {
	if !errors.Is(err, target) {
		return err
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var rest []error
		for _, e := range joined.Unwrap() {
			rest = append(rest, besides(e, target))
		}
		return errors.Join(rest...)
	}
	if inner := errors.Unwrap(err); inner != nil {
		return besides(inner, target)
	}
	return nil
}

// conclude prints the answer and remakes the report.
func conclude(c console, results *store.Run, asJSON bool) error {
	r, err := judge(results)
	if err != nil {
		return err
	}
	printer := report.Table
	if asJSON {
		printer = report.JSON
	}
	if err := writeReport(r, results.ReportDir()); err != nil {
		return err
	}
	if err := printer(c.out, r); err != nil {
		return err
	}
	fmt.Fprintf(c.err, "\nResults: %s\nReport:  %s\n", results.Dir(), filepath.Join(results.ReportDir(), report.PageFile))
	return nil
}

// judge reads a run and judges it.
func judge(run *store.Run) (report.Run, error) {
	e, host := run.Experiment, run.Manifest.Host
	heads, verdicts, err := judgeEach(run, func(r measure.Result) analysis.Verdict { return analysis.Judge(e, r) })
	return answered(run, e, heads, analysis.ConcludeOn(host, e, verdicts)), err
}

// judgeAgain is judge by another objective. What is stored stays as it is.
func judgeAgain(run *store.Run, o experiment.Objective) (report.Run, error) {
	e, host := run.Experiment, run.Manifest.Host
	heads, verdicts, err := judgeEach(run, func(r measure.Result) analysis.Verdict { return analysis.JudgeAgain(e, o, r) })
	by := *e
	by.Objective = o
	return answered(run, &by, heads, analysis.ConcludeAgain(e, o, host, verdicts)), err
}

// answered is a run with its answer. Its seconds are read as they are needed: all
// of them may be more than fits into memory.
func answered(run *store.Run, e *experiment.Experiment, heads []measure.Result, s analysis.Surface) report.Run {
	return report.Run{ID: run.Manifest.Run, Experiment: e, Manifest: run.Manifest, Results: heads, Read: run.Result, Surface: s}
}

// judgeEach judges each result of a run, and returns it without its windows.
func judgeEach(run *store.Run, judge func(measure.Result) analysis.Verdict) (heads []measure.Result, verdicts []analysis.Verdict, err error) {
	type judged struct {
		head measure.Result
		analysis.Verdict
	}
	all, err := store.Each(run, func(r measure.Result) judged {
		v := judge(r)
		r.Series.Windows = nil
		return judged{r, v}
	})
	for _, j := range all {
		heads, verdicts = append(heads, j.head), append(verdicts, j.Verdict)
	}
	return heads, verdicts, err //nolint:wrapcheck // says which file and what to do
}
