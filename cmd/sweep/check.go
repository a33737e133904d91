package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"sweep/pkg/analysis"
	"sweep/pkg/capacity"
	"sweep/pkg/engine"
	"sweep/pkg/experiment"
	"sweep/pkg/load"
	"sweep/pkg/measure"
	"sweep/pkg/report"
	"sweep/pkg/search"
	"sweep/pkg/store"
)

func checkVerb(c console) *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "does the service still carry what was agreed? (the nightly gate)",
		UsageText: "sweep check FILE --baseline capacity.yaml [--update | --accept-host] [--results DIR] [--junit FILE] [--summary FILE] [--json] [--quiet] [--context NAME]",
		Description: "Holds the target on fresh starts of the minimal configuration and compares them with the\n" +
			"baseline. Exit codes: 0 it holds, 3 it regressed or nothing is viable, 4 it can't be told tonight.\n" +
			"Example:\n   sweep check experiments/matrix.yaml --baseline capacity.yaml --update   # once, and to agree to a change\n" +
			"   sweep check experiments/matrix.yaml --baseline capacity.yaml            # each night",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "baseline", Usage: "what was agreed stands in `FILE`"},
			&cli.BoolFlag{Name: "update", Usage: "measure what is missing, and agree to what is carried now"},
			&cli.BoolFlag{Name: "accept-host", Usage: "do so for this host, beside the baselines of others"},
			&cli.IntFlag{Name: "starts", Value: capacity.Wanted, Usage: "with --update: make the baseline of `N` fresh starts; fewer see less"},
			&cli.StringFlag{Name: "results", Value: "results", Usage: "keep results in `DIR`"},
			&cli.StringFlag{Name: "junit", Usage: "write a JUnit file to `FILE`"},
			&cli.StringFlag{Name: "summary", Usage: "append a summary in Markdown to `FILE`; without it to $GITHUB_STEP_SUMMARY, where that is set"},
			&cli.StringFlag{Name: "history", Usage: "append the night to `FILE`; sweep report --history shows it"},
			&cli.BoolFlag{Name: "json", Usage: "print the verdict as one line of JSON instead of text"},
			&cli.BoolFlag{Name: "quiet", Usage: "show no progress"},
			contextFlag(),
		},
		Action: func(x *cli.Context) error {
			file, err := oneArgument(x, "one experiment file")
			if err != nil {
				return err
			}
			o := checkOptions{
				runOptions: runOptions{file: file, results: x.String("results"), quiet: x.Bool("quiet"), json: x.Bool("json"), context: x.String("context")},
				baseline:   x.String("baseline"), update: x.Bool("update"), acceptHost: x.Bool("accept-host"), starts: x.Int("starts"),
				junit: x.String("junit"), summary: x.String("summary"), history: x.String("history"), annotate: os.Getenv("GITHUB_ACTIONS") == "true",
			}
			if o.summary == "" {
				o.summary = os.Getenv("GITHUB_STEP_SUMMARY")
			}
			return check(x.Context, c, o)
		},
	}
}

type checkOptions struct {
	runOptions

	baseline           string // a file
	update, acceptHost bool
	starts             int
	junit, summary     string // files, or empty
	history            string // likewise
	annotate           bool   // write workflow commands for GitHub
}

// again returns the command that repeats the check.
func (o checkOptions) again() string {
	text := strings.Replace(o.runOptions.again(), "sweep run", "sweep check", 1) + " --baseline " + quoted(o.baseline)
	if o.update {
		text += " --update"
	}
	if o.acceptHost {
		text += " --accept-host"
	}
	return text
}

// checking is a check on its way.
type checking struct {
	console
	checkOptions

	engine   *engine.Engine
	asked    *experiment.Experiment
	subject  *engine.Subject // as the experiment asks for it
	host     capacity.Host
	contract capacity.Contract
	began    time.Time

	candidate experiment.Limits // the minimal cell as it is started tonight
}

// check holds a night against what was agreed, or agrees anew, and says so.
func check(ctx context.Context, c console, o checkOptions) error {
	k := &checking{console: c, checkOptions: o, began: time.Now()}
	if err := k.read(); err != nil {
		return err
	}
	eng, err := engine.Connect(ctx, o.context)
	if err != nil {
		return err //nolint:wrapcheck // says what to do
	}
	defer eng.Close() //nolint:errcheck // nothing is under way any more
	k.engine = eng
	did, err := clean(ctx, eng, func(engine.Owner) bool { return false })
	for _, what := range did {
		fmt.Fprintf(c.err, "A run that was killed had left something behind: %s.\n", what)
	}
	if err != nil {
		return err
	}
	if k.subject, err = eng.Prepare(ctx, k.asked, filepath.Dir(k.file), say(c.err, o.quiet)); err != nil {
		return err //nolint:wrapcheck // says what to do
	}
	host, err := eng.Host(ctx)
	if err != nil {
		return err //nolint:wrapcheck // says what failed
	}
	k.host = capacity.HostOf(host)
	if o.update || o.acceptHost {
		return k.agree(ctx)
	}
	return k.night(ctx)
}

// read reads the experiment and what was agreed.
func (k *checking) read() (err error) {
	if k.baseline == "" {
		return usagef("check needs --baseline FILE, where what was agreed stands; --update makes it")
	}
	if k.starts < 1 {
		return usagef("--starts %d: it takes at least one", k.starts)
	}
	if k.asked, err = readExperiment(k.file); err != nil {
		return err
	}
	if _, err := load.NewPlan(k.asked, "127.0.0.1:1"); err != nil {
		return err // of type Faults, or says which key
	}
	text, err := os.ReadFile(k.baseline)
	switch {
	case errors.Is(err, fs.ErrNotExist) && (k.update || k.acceptHost):
		k.contract = capacity.Of(k.asked)
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return usagef("there is no baseline %s; make one: %s --update", k.baseline, k.again())
	case err != nil:
		return usagef("reading the baseline: %v", err)
	}
	if k.contract, err = capacity.Parse(k.baseline, text); err != nil {
		return usagef("%v", err)
	}
	return nil
}

// night measures a night and says what it found.
func (k *checking) night(ctx context.Context) error {
	refuse := func(r capacity.Reason, sentence string) error {
		return k.conclude(capacity.Refusal(r, sentence, k.again()+" --update agrees to what is carried now"), nil)
	}
	if why := k.contract.Asks(k.asked); why != "" {
		return refuse(capacity.OtherQuestion, "This isn't what was agreed on: "+why+".")
	}
	base := k.contract.On(k.host)
	if base == nil {
		var others []string
		for _, b := range k.contract.Baselines {
			others = append(others, b.Host.String())
		}
		v := capacity.Refusal(capacity.OtherHost, fmt.Sprintf("There is no baseline of this host (%s), only of another (%s).", k.host, strings.Join(others, "; ")),
			k.again()+" --accept-host makes one for this host beside it")
		return k.conclude(v, nil)
	}
	n := k.plan(ctx, *base)
	k.candidate = n.Candidate
	asks := k.nightly(n)
	subject, err := k.engine.Find(ctx, asks, filepath.Dir(k.file))
	if err != nil {
		return err //nolint:wrapcheck // says what to do
	}
	results, err := k.openNight(ctx, subject, asks)
	if err != nil {
		return err
	}
	defer results.Close() //nolint:errcheck // what was written is on the disk
	err = measureAll(ctx, k.console, k.engine, subject, asks, results, k.runOptions, courseOf(n))
	if slow, ok := errors.AsType[ceilingError](err); ok {
		return k.conclude(capacity.Refusal(capacity.NoLoad, "The generator can't make the load tonight: "+slow.Error()+".",
			"run it when the machine is at rest; sweep doctor says what is in the way"), results)
	}
	if err != nil {
		return k.unfinished(ctx, results, err)
	}
	measured, known, err := judgeEach(results, func(r measure.Result) analysis.Verdict { return analysis.Judge(asks, r) })
	if err != nil {
		return err
	}
	if len(measured) > 0 {
		n.Ceiling = measured[len(measured)-1].Ceiling
	}
	v := capacity.Judge(n, known)
	v.Power = capacity.Power(n)
	seen := *asks // the cells that were run: a report of the night shows no others
	seen.Matrix = experiment.Matrix{}
	for _, r := range measured {
		seen.Matrix.List = append(seen.Matrix.List, r.Trial.Limits)
	}
	seen.Matrix.List = seen.Matrix.Cells()
	if err := results.Ask(&seen); err != nil {
		return err //nolint:wrapcheck // says which file
	}
	return k.conclude(v, results)
}

func courseOf(n capacity.Night) func([]analysis.Verdict) (experiment.Trial, search.Work, bool) {
	return func(known []analysis.Verdict) (experiment.Trial, search.Work, bool) {
		t, left, more := capacity.Next(n, known)
		return t, search.Work{Holds: left, Bound: search.About}, more
	}
}

// imageOf returns the image from which a cell is started tonight.
func (k *checking) imageOf(l experiment.Limits) engine.Image {
	if l.Image != "" {
		return k.subject.Images[l.Image]
	}
	return k.subject.Image
}

// plan returns what is known before the night's first trial. Cells are told
// apart by the image that they are started from, so that the baseline's can
// stand beside tonight's in one run; a container that is copied has but one.
func (k *checking) plan(ctx context.Context, base capacity.Baseline) capacity.Night {
	image := k.imageOf(base.Minimal)
	n := capacity.Night{
		Baseline: base, Target: k.asked.Users.Target, Unit: k.asked.Users.Unit(), Candidate: base.Minimal,
		Same: image.ID == base.ImageID && k.subject.Digest() == base.Blueprint,
	}
	rival := capacity.RivalOf(k.asked, base)
	if k.fromImage() {
		n.Candidate.Image = image.Ref
		if rival != nil {
			rival.Image = image.Ref
		}
		if old := k.kept(ctx, base); old != "" && image.ID != base.ImageID {
			cell := n.Candidate
			cell.Image = old
			n.Reference = &cell
		}
	}
	n.Rival = rival
	return n
}

// fromImage reports whether the service is started from an image alone.
func (k *checking) fromImage() bool {
	return k.asked.Service.Container == "" && k.asked.Service.Compose == nil
}

// kept returns a name by which the engine still has the baseline's image, or
// nothing.
func (k *checking) kept(ctx context.Context, base capacity.Baseline) string {
	for _, name := range append([]string{base.ImageID}, base.Digests...) {
		if image, err := k.engine.Image(ctx, name); err == nil && image.ID == base.ImageID {
			return name
		}
	}
	return ""
}

// nightSuffix sets the folder of nights apart from that of the experiment's runs.
const (
	nightSuffix = "-nightly"
	longestName = 64 // of an experiment
)

func nightName(e *experiment.Experiment) string {
	return e.Name[:min(len(e.Name), longestName-len(nightSuffix))] + nightSuffix
}

// nightly returns the experiment that a night is: its cells.
func (k *checking) nightly(n capacity.Night) *experiment.Experiment {
	e := *k.asked
	e.Name = nightName(k.asked)
	e.Matrix = experiment.Matrix{List: []experiment.Limits{n.Candidate}}
	for _, l := range []*experiment.Limits{n.Reference, n.Rival} {
		if l != nil {
			e.Matrix.List = append(e.Matrix.List, *l)
		}
	}
	if k.fromImage() {
		e.Service.Image, e.Service.Build = "", nil
	}
	return &e
}

// sameNight is how old a night may be that is continued: starts of different
// days are no sample of one night.
const sameNight = 12 * time.Hour

// openNight continues a night that was interrupted, or begins a new one.
func (k *checking) openNight(ctx context.Context, subject *engine.Subject, e *experiment.Experiment) (*store.Run, error) {
	m, err := manifest(ctx, k.engine, subject, e)
	if err != nil {
		return nil, err
	}
	last, err := store.Latest(k.results, e.Name)
	if err != nil {
		return nil, err //nolint:wrapcheck // says which file and what to do
	}
	if last == nil || last.Manifest.Question != m.Question || changedImage(last.Manifest, m) != "" || last.Manifest.Blueprint != m.Blueprint ||
		!last.Manifest.Host.Same(m.Host) || m.Began.Sub(last.Manifest.Began) > sameNight {
		return store.Create(k.results, e, m) //nolint:wrapcheck // says which file and what to do
	}
	said, err := last.Check()
	if err != nil || said != nil {
		return create(k.results, e, m, err)
	}
	if err := last.Lock(); err != nil {
		return nil, err //nolint:wrapcheck // says what to do
	}
	fmt.Fprintf(k.err, "Continuing the night %s.\n", last.Dir())
	if err := errors.Join(last.Use(m.Images), last.Ask(e)); err != nil {
		return nil, errors.Join(err, last.Close())
	}
	return last, nil
}

func create(root string, e *experiment.Experiment, m measure.Manifest, err error) (*store.Run, error) {
	if err != nil {
		return nil, err
	}
	return store.Create(root, e, m) //nolint:wrapcheck // says which file and what to do
}

// unfinished says what became of a check that was stopped, and how to go on.
func (k *checking) unfinished(ctx context.Context, results *store.Run, err error) error {
	if ctx.Err() != nil {
		fmt.Fprintln(k.err, "Interrupted.")
		if other := besides(err, context.Canceled); other != nil {
			fmt.Fprintln(k.err, "sweep:", other)
		}
	}
	fmt.Fprintf(k.err, "What was measured is kept in %s.\nContinue with: %s\n", results.Dir(), k.again())
	return err
}

// conclude records and prints a verdict, and returns the exit code that says it.
func (k *checking) conclude(v capacity.Verdict, results *store.Run) error {
	night := report.Check{
		Experiment: k.asked.Name, File: k.file, Target: k.asked.Users.Target, Unit: k.asked.Users.Unit(), Host: k.host,
		ImageID: k.imageOf(v.Minimal).ID, Took: time.Since(k.began), Verdict: v,
	}
	if base := k.contract.On(k.host); base != nil {
		night.Baseline = base.Measured
	}
	if results != nil {
		night.Run, night.Warnings = results.Manifest.Run, results.Manifest.Host.Warnings
		if err := k.keep(night, results); err != nil {
			return err
		}
	}
	if err := errors.Join(k.remember(night), k.publish(night)); err != nil {
		return err
	}
	printer := report.CheckText
	if k.json {
		printer = report.CheckJSON
	}
	if err := printer(k.out, night); err != nil {
		return err //nolint:wrapcheck // nothing to add to a closed pipe
	}
	if results != nil {
		fmt.Fprintf(k.err, "\nResults: %s\n", results.Dir())
	}
	switch v.Outcome {
	case capacity.Regressed:
		return answerError(exitRegressed)
	case capacity.Inconclusive:
		return answerError(exitInconclusive)
	case capacity.Holds:
	}
	return nil
}

// keep records a night's verdict and its report beside what was measured.
func (k *checking) keep(night report.Check, results *store.Run) error {
	if k.update || k.acceptHost {
		return nil // a run, not a night
	}
	var text bytes.Buffer
	if err := report.CheckJSON(&text, night); err != nil {
		return err //nolint:wrapcheck // says what failed
	}
	if err := results.PutCheck(text.Bytes()); err != nil {
		return err //nolint:wrapcheck // says which file
	}
	if len(night.Verdict.Starts) == 0 {
		return nil
	}
	r, err := judge(results)
	if err != nil {
		return err
	}
	return writeReport(r, results.ReportDir())
}

// remember appends the night to its history. Agreeing to something is no night.
func (k *checking) remember(night report.Check) error {
	if k.history == "" || k.update || k.acceptHost {
		return nil
	}
	n := analysis.Night{
		Time: k.began, Run: night.Run, Version: version(), Experiment: night.Experiment, Question: k.asked.Digest(), ImageID: night.ImageID,
		Host: analysis.MachineOf(k.host.String()), Verdict: analysis.NightVerdict(night.Verdict.Outcome), Minimal: night.Verdict.Minimal,
		Target: night.Target, Unit: night.Unit, Seconds: night.Took.Seconds(),
	}
	if base := k.contract.On(k.host); base != nil { // hosts that can be compared are told in the same words
		n.Host = analysis.MachineOf(base.Host.String())
	}
	if night.Verdict.Outcome != capacity.Holds {
		n.Reason = night.Verdict.Sentence
	}
	n.Saw(night.Verdict.Starts, k.candidate)
	return store.AppendHistory(k.history, n) //nolint:wrapcheck // says which file
}

// publish writes what CI systems read.
func (k *checking) publish(night report.Check) error {
	if k.junit != "" {
		var text bytes.Buffer
		if err := report.CheckJUnit(&text, night); err != nil {
			return err //nolint:wrapcheck // says what failed
		}
		if err := store.WriteFile(k.junit, text.Bytes()); err != nil {
			return err //nolint:wrapcheck // says which file
		}
	}
	if k.summary != "" {
		if err := appendSummary(k.summary, night); err != nil {
			return err
		}
	}
	if line := report.Annotation(night); line != "" && k.annotate {
		fmt.Fprintln(k.err, line)
	}
	return nil
}

func appendSummary(path string, night report.Check) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	if err := errors.Join(report.CheckMarkdown(f, night), f.Close()); err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	return nil
}
