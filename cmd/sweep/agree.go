package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/capacity"
	"sweep/pkg/experiment"
	"sweep/pkg/report"
	"sweep/pkg/search"
	"sweep/pkg/store"
)

// agree measures what is missing of the experiment, then starts of its minimal
// configuration, and makes that the contract. Where it can't be told what is
// carried, nothing is written.
func (k *checking) agree(ctx context.Context) error {
	if err := k.mayAgree(); err != nil {
		return err
	}
	results, err := open(ctx, k.console, k.engine, k.subject, k.asked, k.runOptions)
	if err != nil {
		return err
	}
	defer results.Close() //nolint:errcheck // what was written is on the disk
	host := results.Manifest.Host
	searching := searching(k.asked, host)
	course := func(known []analysis.Verdict) (experiment.Trial, search.Work, bool) {
		if t, left, more := searching(known); more {
			left.Holds, left.Bound = left.Holds+k.starts, search.About
			return t, left, true
		}
		least := analysis.Least(analysis.Cells(k.asked, known, impossible(host)))
		if least == nil {
			return experiment.Trial{}, search.Work{}, false
		}
		t, left, more := capacity.Collect(least.Trial.Limits, k.asked.Users.Target, k.starts, known)
		return t, search.Work{Holds: left, Bound: search.About}, more
	}
	if err := measureAll(ctx, k.console, k.engine, k.subject, k.asked, results, k.runOptions, course); err != nil {
		return k.unfinished(ctx, results, err)
	}
	r, err := judge(results)
	if err != nil {
		return err
	}
	if err := writeReport(r, results.ReportDir()); err != nil {
		return err
	}
	known, err := verdicts(results, k.asked)
	if err != nil {
		return err
	}
	base, v := capacity.Agree(k.asked, r.Surface, known, k.starts)
	if v.Outcome != capacity.Holds {
		fmt.Fprintf(k.err, "%s was not written.\n", k.baseline)
		return k.conclude(v, results)
	}
	if base, err = k.complete(base, r); err != nil {
		return err
	}
	if err := store.WriteFile(k.baseline, k.contract.With(base).YAML()); err != nil {
		return err //nolint:wrapcheck // says which file
	}
	v.Power = capacity.Power(capacity.Night{Baseline: base})
	fmt.Fprintf(k.err, "Wrote %s.\n", k.baseline)
	return k.conclude(v, results)
}

// mayAgree says why what is carried now can't become the contract.
func (k *checking) mayAgree() error {
	if k.contract.Asks(k.asked) != "" { // what others agreed to was something else
		if n := len(k.contract.Baselines); n > 0 && k.acceptHost {
			return usagef("%s is of another experiment: %s; --update begins it anew", k.baseline, k.contract.Asks(k.asked))
		}
		k.contract = capacity.Of(k.asked)
		return nil
	}
	known := k.contract.On(k.host) != nil
	switch {
	case k.acceptHost && known && !k.update:
		return usagef("%s has a baseline of this host; --update renews it", k.baseline)
	case !k.acceptHost && !known && len(k.contract.Baselines) > 0:
		return usagef("%s has baselines of other hosts alone; this one is %s: --accept-host makes one for it beside them", k.baseline, k.host)
	}
	return nil
}

// complete says of a baseline where it comes from, and gives it the starts that
// were known of the same service before.
func (k *checking) complete(base capacity.Baseline, r report.Run) (capacity.Baseline, error) {
	image := k.imageOf(base.Minimal)
	base.Host, base.Measured, base.Sweep, base.Run = k.host, k.began.UTC().Format(time.DateOnly), version(), r.ID
	base.Image, base.ImageID, base.Digests, base.Blueprint = image.Ref, image.ID, image.Digests, k.subject.Digest()
	for _, result := range r.Results {
		base.Ceiling = max(base.Ceiling, result.Ceiling)
	}
	var others [][]capacity.Start
	if old := k.contract.On(k.host); old != nil && base.Replaces(*old) {
		others = append(others, old.Starts)
	}
	nights, err := k.nightsThatHeld(base)
	return base.Grown(append(others, nights...)...), err
}

// nightsThatHeld returns the starts of earlier nights of the same service, host
// and question that held.
func (k *checking) nightsThatHeld(base capacity.Baseline) ([][]capacity.Start, error) {
	runs, err := store.All(k.results, nightName(k.asked))
	if err != nil {
		return nil, err //nolint:wrapcheck // says which file and what to do
	}
	var out [][]capacity.Start
	for _, run := range runs {
		text, err := run.Check()
		if err != nil {
			return nil, err //nolint:wrapcheck // likewise
		}
		var said struct{ Verdict capacity.Outcome }
		if json.Unmarshal(text, &said) != nil || said.Verdict != capacity.Holds || !capacity.HostOf(run.Manifest.Host).Same(base.Host) {
			continue // a night that wasn't finished, or is of no use here
		}
		if starts, err := k.startsOf(run, base); err != nil {
			return nil, err
		} else if len(starts) > 0 {
			out = append(out, starts)
		}
	}
	return out, nil
}

// startsOf returns the starts of a night that are of the baseline's service.
func (k *checking) startsOf(run *store.Run, base capacity.Baseline) ([]capacity.Start, error) {
	var out []capacity.Start
	asked := *k.asked
	asked.Name, asked.Matrix = run.Experiment.Name, run.Experiment.Matrix
	if k.fromImage() {
		asked.Service.Image, asked.Service.Build = "", nil
	}
	if asked.Digest() != run.Manifest.Question {
		return nil, nil
	}
	known, err := verdicts(run, run.Experiment)
	if err != nil {
		return nil, err
	}
	for _, v := range known {
		l := v.Trial.Limits
		image := run.Manifest.Images[l.Image].ID
		if l.Image == "" {
			image = run.Manifest.ImageID
		}
		same := l.Bare() == base.Minimal.Bare() && l.Env == base.Minimal.Env && image == base.ImageID
		if same && v.Trial.Hold == k.asked.Users.Target && v.Outcome == analysis.Passed {
			out = append(out, capacity.StartOf(v))
		}
	}
	return out, nil
}
