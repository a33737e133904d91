package analysis_test

import (
	"strings"
	"testing"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

func TestConfirm(t *testing.T) {
	var (
		tall   = experiment.Limits{CPU: 1e9, Memory: 500 * experiment.MiB}
		taller = experiment.Limits{CPU: 1e9, Memory: experiment.GiB}
	)
	cell := func(l experiment.Limits, label analysis.Label, users int) analysis.Cell {
		v := analysis.Verdict{Trial: experiment.Trial{Limits: l}, Outcome: analysis.Breached}
		if label == "" {
			v.Outcome = analysis.Passed
		} else {
			v.Cause = &analysis.Cause{Label: label, Evidence: []string{"as seen"}}
		}
		if users > 0 {
			v.LastPass = &analysis.Level{Users: users, Requests: 3 * uint64(users)}
		}
		return analysis.Cell{Verdict: v, Measured: true}
	}
	lasting := func(c analysis.Cell, requests uint64) analysis.Cell {
		c.LastPass.Requests = requests
		return c
	}
	unknown := cell(tall, analysis.CauseHost, 9000)
	unknown.Outcome = analysis.HostLimited
	for _, c := range []struct {
		name      string
		cells     []analysis.Cell // the first is looked at
		confirmed string
		against   string
	}{
		{"more memory carries more", []analysis.Cell{cell(small, analysis.CauseMemory, 600), cell(tall, "", 1000)}, "1 CPU / 500M: +67 %", ""},
		{"the nearest counts", []analysis.Cell{cell(small, analysis.CauseOOM, 600), cell(taller, "", 2000), cell(tall, analysis.CauseOOM, 900)}, "1 CPU / 500M: +50 %", ""},
		{"from nothing", []analysis.Cell{cell(small, analysis.CauseLeak, 0), cell(tall, "", 1000)}, "1 CPU / 500M: 3,000 requests instead of none", ""},
		{"a leak lasts for more requests", []analysis.Cell{cell(small, analysis.CauseLeak, 150), lasting(cell(tall, analysis.CauseLeak, 150), 900)}, "1 CPU / 500M: +100 % requests", ""},
		{"more CPU carries more", []analysis.Cell{cell(small, analysis.CauseCPU, 600), cell(medium, analysis.CauseCPU, 1100)}, "2 CPU / 200M: +83 %", ""},
		{"more CPU carries no more", []analysis.Cell{cell(small, analysis.CauseBursts, 600), cell(medium, analysis.CauseMemory, 610)}, "", "refuted by 2 CPU / 200M: +2 %"},
		{"more memory carries less", []analysis.Cell{cell(small, analysis.CauseMemory, 600), cell(tall, analysis.CauseCPU, 540)}, "", "refuted by 1 CPU / 500M: -10 %"},
		{"nothing on either side", []analysis.Cell{cell(small, analysis.CauseMemory, 0), cell(tall, analysis.CauseCPU, 0)}, "", "refuted by 1 CPU / 500M: 0 instead of none"},
		{"the target was all that was asked", []analysis.Cell{cell(small, analysis.CauseMemory, 950), cell(tall, "", 1000)}, "", ""},
		{"more of both, and CPU alone doesn't help", []analysis.Cell{cell(small, analysis.CauseMemory, 600), cell(medium, analysis.CauseMemory, 610), cell(large, "", 1000)}, "2 CPU / 500M: +67 %, while 2 CPU / 200M: +2 %", ""},
		{"more of both, and CPU alone helps as well", []analysis.Cell{cell(small, analysis.CauseMemory, 600), cell(medium, analysis.CauseMemory, 900), cell(large, "", 1000)}, "", ""},
		{"more of both, and no more is known", []analysis.Cell{cell(small, analysis.CauseMemory, 600), cell(large, "", 1000)}, "", ""},
		{"the neighbour isn't known", []analysis.Cell{cell(small, analysis.CauseMemory, 600), unknown}, "", ""},
		{"no limit could help", []analysis.Cell{cell(small, analysis.CauseBacklog, 600), cell(tall, "", 1000), cell(medium, "", 1000)}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := analysis.Confirm(c.cells)[0].Cause
			if got.ConfirmedBy != c.confirmed {
				t.Errorf("confirmed by %q, want %q", got.ConfirmedBy, c.confirmed)
			}
			if all := strings.Join(got.Evidence[1:], "; "); all != c.against {
				t.Errorf("against it %q, want %q", all, c.against)
			}
			if was := c.cells[0].Cause; len(was.Evidence) != 1 || was.ConfirmedBy != "" {
				t.Errorf("what was given was changed: %+v", was)
			}
		})
	}
}
