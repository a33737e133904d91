package engine

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sweep/pkg/experiment"
)

// sweepProgram builds sweep itself, whose agent is the probe.
func sweepProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sweep")
	build := exec.Command("go", "build", "-o", path, "../../cmd/sweep")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build sweep: %v\n%s", err, out)
	}
	return path
}

func TestExamine(t *testing.T) {
	l, owner := live(t)
	agent, err := l.engine.LoadAgent(t.Context(), owner, sweepProgram(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := agent.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	began := time.Now()
	x, err := l.engine.Examine(t.Context(), agent)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("it took %v", time.Since(began).Round(time.Millisecond))
	text, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", text)

	if x.Endpoint == "" || x.Host.Engine == "" || x.Runtime == "" || x.CgroupDriver == "" || !x.Pressure {
		t.Errorf("of the engine it saw %+v", x)
	}
	if x.ClockOffset.Abs() > x.ClockWithin+time.Millisecond { // one machine, one clock
		t.Errorf("the engine's clock is %v ahead, give or take %v", x.ClockOffset, x.ClockWithin)
	}
	if x.Trial == nil || x.Trial.Saw == nil {
		t.Fatal("the probe told nothing")
	}
	if e := x.Trial.Exit; !e.Died || !e.OOMKilled || e.OOMKills == 0 || e.Code != killedCode {
		t.Errorf("the probe ended with %+v", e)
	}
	saw := x.Trial.Saw
	if share := saw.CPU.Seconds() / saw.Wall.Seconds(); share < 0.1 || share > 0.25 {
		t.Errorf("the probe got %.2f CPU of 0.2", share)
	}
	if saw.Periods == nil || *saw.Periods < 8 || *saw.Throttled < *saw.Periods/2 {
		t.Errorf("it was stopped in %v of %v periods", saw.Throttled, saw.Periods)
	}
	if saw.Others == nil || saw.Steal == nil || saw.Files == nil || saw.Ports == nil || saw.Disk == nil || *saw.Disk < experiment.MiB ||
		saw.Swap == nil || saw.ClockSource == "" || saw.Pressure == nil {
		t.Errorf("of the host it saw %+v", saw)
	}
}
