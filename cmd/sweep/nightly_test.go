package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fakeSweep ends as SAYS tells, and appends a night as sweep check does. Doctor
// ends as FIT tells.
const fakeSweep = `#!/usr/bin/env bash
set -eu
verb=$1
echo "$*" >>"$LOG"
while [[ $# -gt 0 ]]; do
    case $1 in
    --history) history=$2 ;;
    --summary) summary=$2 ;;
    esac
    shift
done
case $verb in
doctor) exit "${FIT:-0}" ;;
report) printf '# nights\n![picture](trend.svg)\ntable\n' ;;
check)
    printf '{"run": "%s"}\n' "$RUN" >>"$history"
    echo "what $RUN found" >>"$summary"
    echo '{"schema": "sweep.check/v1"}'
    exit "$SAYS"
    ;;
esac
`

// fakeGH keeps issues as files of a folder: open or closed in the first line,
// then the title, then what was said.
const fakeGH = `#!/usr/bin/env bash
set -eu
echo "$*" >>"$LOG"
cd "$ISSUES"
what="$1 $2"
shift 2
number=
while [[ $# -gt 0 ]]; do
    case $1 in
    --title) title=$2; shift ;;
    --body-file) body=$(cat "$2"); shift ;;
    --comment) body=$2; shift ;;
    --*) [[ $1 == --force ]] || shift ;;
    *) number=$1 ;;
    esac
    shift
done
case $what in
'issue list') for f in *; do [[ ! -f $f || $(head -n 1 "$f") != open ]] || printf '%s\t%s\n' "$f" "$(sed -n 2p "$f")"; done ;;
'issue create') printf 'open\n%s\n%s\n' "$title" "$body" >"$(($(ls | wc -l) + 1))" ;;
'issue comment') echo "$body" >>"$number" ;;
'issue close') echo "$body" >>"$number"; sed -i '1s/open/closed/' "$number" ;;
'label create') ;;
*) exit 1 ;;
esac
`

// nightly is a clone in which the steps of the nightly check run.
type nightly struct {
	t            *testing.T
	script       string
	clone, other string // other is beside the clone, for what isn't in it
}

func newNightly(t *testing.T) *nightly {
	t.Helper()
	script, err := filepath.Abs("../../.ci/nightly")
	if err != nil {
		t.Fatal(err)
	}
	n := &nightly{t, script, filepath.Join(t.TempDir(), "clone"), t.TempDir()}
	for name, text := range map[string]string{"sweep": fakeSweep, "gh": fakeGH} {
		if err := os.WriteFile(filepath.Join(n.other, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(n.other, "issues"), 0o700); err != nil {
		t.Fatal(err)
	}
	n.git(n.other, "init", "--quiet", "--bare", "origin.git")
	n.git(n.other, "clone", "--quiet", "file://"+filepath.Join(n.other, "origin.git"), n.clone)
	return n
}

func (n *nightly) env(more ...string) []string {
	return append(append(os.Environ(),
		"PATH="+n.other+":"+os.Getenv("PATH"), "SWEEP="+filepath.Join(n.other, "sweep"), "LOG="+filepath.Join(n.other, "log"), "ISSUES="+filepath.Join(n.other, "issues"),
		"GITHUB_OUTPUT="+filepath.Join(n.other, "output"), "GITHUB_STEP_SUMMARY="+filepath.Join(n.other, "summary"),
		"GITHUB_SERVER_URL=https://git.example.com", "GITHUB_REPOSITORY=team/service", "GITHUB_RUN_ID=17",
		"EXPERIMENT=", "BASELINE=", "UPDATE=", "NIGHTLY=", "HISTORY_BRANCH=", // as if nobody had set them
	), more...)
}

func (n *nightly) git(dir string, args ...string) string {
	n.t.Helper()
	cmd := exec.CommandContext(n.t.Context(), "git", args...)
	cmd.Dir, cmd.Env = dir, n.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		n.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// step runs a step and returns its exit code and what it said.
func (n *nightly) step(env []string, args ...string) (code int, said string) {
	n.t.Helper()
	cmd := exec.CommandContext(n.t.Context(), n.script, args...)
	cmd.Dir, cmd.Env = n.clone, n.env(env...)
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		n.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// must is step, of one that has to succeed.
func (n *nightly) must(env []string, args ...string) string {
	n.t.Helper()
	code, said := n.step(env, args...)
	if code != 0 {
		n.t.Fatalf("%q ended with %d:\n%s", args, code, said)
	}
	return said
}

func (n *nightly) read(path string) string {
	n.t.Helper()
	return string(read(n.t, filepath.Join(n.other, path)))
}

// fresh is another machine's clone, as each night has one.
func (n *nightly) fresh() {
	n.t.Helper()
	if err := os.RemoveAll(n.clone); err != nil {
		n.t.Fatal(err)
	}
	n.git(n.other, "clone", "--quiet", "file://"+filepath.Join(n.other, "origin.git"), n.clone)
}

func TestTheNightlyStepEndsAsTheJobShall(t *testing.T) {
	for says, want := range map[string]int{"0": 0, "1": 1, "2": 2, "3": 3, "4": 0} {
		n := newNightly(t)
		n.must(nil, "restore")
		code, said := n.step([]string{"SAYS=" + says, "RUN=one", "EXPERIMENT=a b.yaml", "BASELINE=c.yaml"}, "check")
		if code != want || !strings.Contains(said, "sweep.check/v1") {
			t.Errorf("sweep check said %s: the step ended with %d\n%s", says, code, said)
		}
		if got := n.read("output"); got != "code="+says+"\n" {
			t.Errorf("sweep check said %s: told %q", says, got)
		}
		if got := n.read("summary"); got != "what one found\n" {
			t.Errorf("summary %q", got)
		}
		if got := n.read("log"); !strings.HasPrefix(got, "doctor a b.yaml\ncheck a b.yaml --baseline c.yaml --history nightly/history.jsonl --junit nightly/junit.xml") {
			t.Error(got)
		}
	}
}

func TestTheNightlyStepStopsWhereTheMachineIsUnfit(t *testing.T) {
	n := newNightly(t)
	if code, said := n.step([]string{"FIT=1", "SAYS=0", "RUN=one"}, "check"); code != 1 {
		t.Errorf("ended with %d: %s", code, said)
	}
	if got := n.read("log"); strings.Contains(got, "check") {
		t.Error(got)
	}
	if _, err := os.Stat(filepath.Join(n.other, "output")); err == nil {
		t.Error("a code was told")
	}
	n.must([]string{"UPDATE=true", "SAYS=0", "RUN=one"}, "check")
	if got := n.read("log"); !strings.Contains(got, "--baseline capacity.yaml --update --history") {
		t.Error(got)
	}
}

func TestNightsAreKeptOnTheirBranch(t *testing.T) {
	n := newNightly(t)
	for i, run := range []string{"one", "two", "three"} {
		n.must(nil, "restore")
		n.must([]string{"SAYS=4", "RUN=" + run}, "check")
		n.must(nil, "keep")
		if said := n.must(nil, "keep"); !strings.Contains(said, "nothing new") {
			t.Errorf("kept twice: %s", said)
		}
		n.fresh()
		if got := n.git(n.clone, "show", "origin/sweep-history:history.jsonl"); strings.Count(got, "\n") != i+1 || !strings.HasSuffix(got, `{"run": "`+run+"\"}\n") {
			t.Errorf("after night %d: %q", i+1, got)
		}
	}
	if got := n.git(n.clone, "log", "--format=%s", "origin/sweep-history"); strings.Count(got, "night of ") != 3 {
		t.Error(got)
	}
	// A night that lost sight of those before adds to them all the same.
	n.must([]string{"SAYS=0", "RUN=four"}, "check")
	n.must(nil, "keep")
	n.git(n.clone, "fetch", "--quiet")
	if got := n.git(n.clone, "show", "origin/sweep-history:history.jsonl"); strings.Count(got, "\n") != 4 {
		t.Errorf("%q", got)
	}
}

// A branch that can't be read isn't one that isn't there.
func TestAHistoryOutOfReachEndsTheNight(t *testing.T) {
	n := newNightly(t)
	n.git(n.clone, "remote", "set-url", "origin", filepath.Join(n.other, "gone.git"))
	if code, said := n.step(nil, "restore"); code != 1 || !strings.Contains(said, "can't be read from origin") {
		t.Errorf("ended with %d: %s", code, said)
	}
}

func TestOneIssueIsOpenedUpdatedAndClosed(t *testing.T) {
	n := newNightly(t)
	night := func(says, run string) {
		t.Helper()
		n.must(nil, "restore")
		n.step([]string{"SAYS=" + says, "RUN=" + run}, "check")
		n.must(nil, "issue", says)
		if err := os.Remove(filepath.Join(n.clone, "nightly", "summary.md")); err != nil {
			t.Fatal(err)
		}
	}
	issues := func() []string {
		t.Helper()
		entries, err := os.ReadDir(filepath.Join(n.other, "issues"))
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range entries {
			out = append(out, n.read("issues/"+e.Name()))
		}
		return out
	}
	night("0", "one")
	if got := issues(); len(got) != 0 {
		t.Fatalf("%q", got)
	}
	night("3", "two")
	want := "open\nCapacity regressed: experiments/matrix.yaml\nwhat two found\n\nTonight, with the report among its artifacts: https://git.example.com/team/service/actions/runs/17\n"
	if got := issues(); len(got) != 1 || got[0] != want {
		t.Fatalf("%q", got)
	}
	night("3", "three")
	night("4", "four")
	if got := issues(); len(got) != 1 || !strings.Contains(got[0], "what three found") || strings.Contains(got[0], "what four found") || !strings.HasPrefix(got[0], "open") {
		t.Fatalf("%q", got)
	}
	night("0", "five")
	if got := issues(); len(got) != 1 || !strings.HasPrefix(got[0], "closed") || !strings.Contains(got[0], "It holds again.") {
		t.Fatalf("%q", got)
	}
	night("3", "six")
	if got := issues(); len(got) != 2 || !strings.HasPrefix(got[1], "open") {
		t.Fatalf("%q", got)
	}
}

func TestTheTrendIsPartOfTheSummary(t *testing.T) {
	n := newNightly(t)
	n.must(nil, "restore")
	if said := n.must(nil, "trend"); !strings.Contains(said, "no history yet") {
		t.Error(said)
	}
	n.must([]string{"SAYS=0", "RUN=one"}, "check")
	n.must(nil, "trend")
	if got := n.read("summary"); got != "what one found\n# nights\ntable\n" {
		t.Errorf("%q", got)
	}
	if code, said := n.step(nil, "nothing"); code != 1 || !strings.Contains(said, "usage") {
		t.Errorf("%d %s", code, said)
	}
}

// The workflow's steps are those that are tested here.
func TestTheWorkflowTakesTheStepsInOrder(t *testing.T) {
	text := read(t, "../../.github/workflows/nightly.yaml")
	at := 0
	for _, step := range []string{"make build", ".ci/nightly restore", ".ci/nightly check", ".ci/nightly trend", "upload-artifact", ".ci/nightly keep", `.ci/nightly issue "$CODE"`} {
		i := bytes.Index(text[at:], []byte(step))
		if i < 0 {
			t.Fatalf("%q doesn't come after what is before it", step)
		}
		at += i
	}
}
