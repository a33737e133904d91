package analysis_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// fit returns what a machine shows that measures honestly.
func fit() measure.Examination {
	return measure.Examination{
		Endpoint: "unix:///var/run/docker.sock",
		Host:     measure.Host{Engine: "29.1.0", API: "1.52", OS: "Debian", Kernel: "6.12", CgroupVersion: "2", CPUs: 4, Memory: 8 * experiment.GiB},
		Runtime:  "runc", CgroupDriver: "systemd", SwapLimit: true,
		ClockOffset: time.Millisecond, ClockWithin: 2 * time.Millisecond,
		AgentFiles: new(uint64(1 << 20)), Pressure: true,
		Trial: &measure.ProbeTrial{
			Limits: experiment.Limits{CPU: 200_000_000, Memory: 32 * experiment.MiB},
			Saw: &measure.Probe{
				Wall: time.Second, CPU: 205 * time.Millisecond, Periods: new(uint64(10)), Throttled: new(uint64(10)),
				Others: new(0.1), Steal: new(0.0), Files: new(uint64(1 << 20)), MostFiles: new(uint64(1 << 20)), Ports: new(28232),
				Disk: new(20 * experiment.GiB), Swap: new(experiment.Bytes(0)), ClockSource: "tsc", Scheduler: "disabled", Pressure: new(true),
			},
			Exit: measure.Exit{Died: true, Code: 137, OOMKilled: true, OOMKills: 1},
		},
	}
}

func need() analysis.Need {
	return analysis.Need{Users: 10000, Free: new(20 * experiment.GiB), Cells: []experiment.Limits{{CPU: 2e9, Memory: 200 * experiment.MiB}}}
}

func TestFitness(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(x *measure.Examination, n *analysis.Need)
		check  string
		state  analysis.State
		says   string // in what was seen or in the advice
	}{
		{"limits hold", func(*measure.Examination, *analysis.Need) {}, "CPU limit", analysis.OK, "got 0.20 of 0.2 CPU, stopped in 10 of 10 periods"},
		{"no CPU limit", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.CPU = time.Second }, "CPU limit", analysis.Unfit, "1.00 of 0.2 CPU"},
		{"sched_ext ignores it", func(x *measure.Examination, _ *analysis.Need) {
			x.Trial.Saw.CPU, x.Trial.Saw.Scheduler = time.Second, "enabled"
		}, "CPU limit", analysis.Unfit, "end the sched_ext scheduler"},
		{"sched_ext heeds it", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.Scheduler = "enabled" }, "scheduler", analysis.Warned, "sched_ext"},
		{"a kernel without sched_ext", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.Scheduler = "" }, "scheduler", analysis.OK, "the kernel's own"},
		{"less than the limit", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.CPU = 100 * time.Millisecond }, "CPU limit", analysis.Warned, "0.10 of 0.2 CPU"},
		{"never stopped", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.Throttled = new(uint64(0)) }, "CPU limit", analysis.Warned, "stopped in 0 of 10"},
		{"periods aren't told", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.Periods, x.Trial.Saw.Throttled = nil, nil }, "CPU limit", analysis.OK, "0.20 of 0.2 CPU"},
		{"it couldn't tell", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw = nil }, "CPU limit", analysis.NotVisible, "ended before"},
		{"no probe", func(x *measure.Examination, _ *analysis.Need) { x.Trial = nil }, "CPU limit", analysis.NotVisible, "no probe"},
		{"the probe is refused", func(x *measure.Examination, _ *analysis.Need) {
			x.Trial = &measure.ProbeTrial{Refused: "the engine does not enforce the limits"}
		}, "CPU limit", analysis.Unfit, "does not enforce"},
		{"told once", func(x *measure.Examination, _ *analysis.Need) { x.Trial = &measure.ProbeTrial{Refused: "no"} }, "memory limit", analysis.NotVisible, "couldn't be run"},
		{"killed", func(*measure.Examination, *analysis.Need) {}, "memory limit", analysis.OK, "exit code 137"},
		{"lived", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Exit = measure.Exit{Died: true} }, "memory limit", analysis.Unfit, "three times its limit of 32M and lived"},
		{"killed in silence", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Exit = measure.Exit{Died: true, Code: 137} }, "memory limit", analysis.Warned, "tells of no kill"},
		{"thrashes", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Exit = measure.Exit{} }, "memory limit", analysis.Warned, "nor was killed"},
		{"no delegation", func(x *measure.Examination, _ *analysis.Need) { x.CgroupDriver = "none" }, "control groups", analysis.Unfit, "Delegate"},
		{"an engine that tells no groups", func(x *measure.Examination, _ *analysis.Need) { x.CgroupDriver = "" }, "control groups", analysis.NotVisible, ""},
		{"an engine that warns", func(x *measure.Examination, _ *analysis.Need) { x.Host.Warnings = []string{"No swap limit support"} }, "engine", analysis.Warned, "No swap limit support"},
		{"a sandbox", func(x *measure.Examination, _ *analysis.Need) { x.Runtime = "runsc" }, "runtime", analysis.Warned, "sandbox"},
		{"swap that is limited", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.Swap = new(experiment.GiB) }, "swap", analysis.OK, "1.0 GiB"},
		{"swap that isn't", func(x *measure.Examination, _ *analysis.Need) {
			x.Trial.Saw.Swap, x.SwapLimit = new(512*experiment.MiB), false
		}, "swap", analysis.Warned, "the host has 512 MiB"},
		{"no swap, no accounting", func(x *measure.Examination, _ *analysis.Need) { x.SwapLimit = false }, "swap", analysis.OK, "none"},
		{"swap unknown", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.Swap, x.SwapLimit = nil, false }, "swap", analysis.NotVisible, ""},
		{"room", func(*measure.Examination, *analysis.Need) {}, "cores", analysis.OK, "every cell leaves"},
		{"no room", func(x *measure.Examination, _ *analysis.Need) { x.Host.CPUs = 2 }, "cores", analysis.Warned, "beside 2 CPU / 200M"},
		{"room elsewhere", func(x *measure.Examination, n *analysis.Need) { x.Host.CPUs, n.Elsewhere = 2, true }, "cores", analysis.OK, "the generator has others"},
		{"impossible cells take no room", func(x *measure.Examination, _ *analysis.Need) { x.Host.CPUs = 1 }, "cores", analysis.OK, ""},
		{"no matrix", func(_ *measure.Examination, n *analysis.Need) { n.Cells = nil }, "cores", analysis.OK, "cells of up to 3 CPU"},
		{"no matrix, one core", func(x *measure.Examination, n *analysis.Need) { n.Cells, x.Host.CPUs = nil, 1 }, "cores", analysis.Warned, "share"},
		{"cores unknown", func(x *measure.Examination, _ *analysis.Need) { x.Host.CPUs = 0 }, "cores", analysis.NotVisible, ""},
		{"neighbours", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.Others = new(0.5) }, "neighbours", analysis.Warned, "0.50 of 4"},
		{"neighbours unknown", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.Others = nil }, "neighbours", analysis.NotVisible, ""},
		{"steal", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.Steal = new(0.03) }, "steal", analysis.Warned, "3.0 %"},
		{"steal unknown", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.Steal = nil }, "steal", analysis.NotVisible, ""},
		{"few files for the service", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.Files = new(uint64(1024)) }, "open files", analysis.Warned, "fails at 1,024 connections"},
		{"few files for the agent", func(x *measure.Examination, _ *analysis.Need) { x.AgentFiles = new(uint64(4096)) }, "open files", analysis.Warned, "the agent spreads"},
		{"the agent has what any gets that asks", func(x *measure.Examination, _ *analysis.Need) { x.AgentFiles = nil }, "open files", analysis.OK, "the agent 1,048,576"},
		{"files unknown", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.Files = nil }, "open files", analysis.NotVisible, ""},
		{"few ports", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.Ports = new(1000) }, "ports", analysis.Warned, "ip_local_port_range"},
		{"ports unknown", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.Ports = nil }, "ports", analysis.NotVisible, ""},
		{"results' disk full", func(_ *measure.Examination, n *analysis.Need) { n.Free = new(100 * experiment.MiB) }, "disk of the results", analysis.Warned, "100 MiB free"},
		{"results' disk unknown", func(_ *measure.Examination, n *analysis.Need) { n.Free = nil }, "disk of the results", analysis.NotVisible, ""},
		{"engine's disk full", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.Disk = new(experiment.Bytes(0)) }, "disk of the engine", analysis.Warned, "docker system df"},
		{"slow clock", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.ClockSource = "hpet" }, "clock source", analysis.Warned, "system call"},
		{"clock unknown", func(x *measure.Examination, _ *analysis.Need) { x.Trial.Saw.ClockSource = "" }, "clock source", analysis.NotVisible, ""},
		{"clocks differ", func(x *measure.Examination, _ *analysis.Need) { x.ClockOffset = -3 * time.Second }, "clock offset", analysis.Warned, "by 3s or more"},
		{"clocks may agree", func(x *measure.Examination, _ *analysis.Need) {
			x.ClockOffset, x.ClockWithin = 800*time.Millisecond, 700*time.Millisecond
		}, "clock offset", analysis.OK, "within 1.5s"},
		{"clocks unknown", func(x *measure.Examination, _ *analysis.Need) { x.ClockOffset, x.ClockWithin = 0, 0 }, "clock offset", analysis.NotVisible, ""},
		{"pressure far away", func(x *measure.Examination, _ *analysis.Need) { x.Pressure = false }, "pressure", analysis.NotVisible, "can't be read from here"},
		{"no pressure", func(x *measure.Examination, _ *analysis.Need) { x.Pressure, x.Trial.Saw.Pressure = false, new(false) }, "pressure", analysis.Warned, "psi=1"},
		{"pressure unknown", func(x *measure.Examination, _ *analysis.Need) { x.Pressure, x.Trial = false, nil }, "pressure", analysis.NotVisible, ""},
		{"from elsewhere", func(_ *measure.Examination, n *analysis.Need) { n.Elsewhere = true }, "load path", analysis.OK, "from other machines"},
		{"never through the proxy", func(*measure.Examination, *analysis.Need) {}, "load path", analysis.OK, "userland proxy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, n := fit(), need()
			c.change(&x, &n)
			checks := analysis.Fitness(x, n)
			i := slices.IndexFunc(checks, func(got analysis.Check) bool { return got.Name == c.check })
			if i < 0 {
				t.Fatalf("there is no check %q", c.check)
			}
			if got := checks[i]; got.State != c.state || !strings.Contains(got.Seen+" "+got.Advice, c.says) {
				t.Errorf("got %+v, want %s that says %q", got, c.state, c.says)
			}
		})
	}
}

func TestAFitMachineIsFit(t *testing.T) {
	for _, c := range analysis.Fitness(fit(), need()) {
		if c.State != analysis.OK || c.Advice != "" {
			t.Errorf("%+v", c)
		}
	}
}

// Whatever is missing, a check says something, and what to do where there is
// something to do; of what wasn't seen nothing good or bad is said.
func TestWhatIsNotSeenIsNeverGood(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := fit()
		hide := func(name string) bool { return rapid.Bool().Draw(t, name) }
		saw := x.Trial.Saw
		if hide("periods") {
			saw.Periods, saw.Throttled = nil, nil
		}
		hidden := map[string]bool{}
		for name, forget := range map[string]func(){
			"neighbours":         func() { saw.Others = nil },
			"steal":              func() { saw.Steal = nil },
			"open files":         func() { saw.Files = nil },
			"ports":              func() { saw.Ports = nil },
			"disk of the engine": func() { saw.Disk = nil },
			"clock offset":       func() { x.ClockOffset, x.ClockWithin = 0, 0 },
			"runtime":            func() { x.Runtime = "" },
			"control groups":     func() { x.CgroupDriver = "" },
		} {
			if hidden[name] = hide(name); hidden[name] {
				forget()
			}
		}
		for _, c := range analysis.Fitness(x, need()) {
			switch {
			case c.Seen == "":
				t.Errorf("%s says nothing", c.Name)
			case (c.State == analysis.NotVisible) != hidden[c.Name]:
				t.Errorf("%s is %s", c.Name, c.State)
			case (c.State == analysis.Warned || c.State == analysis.Unfit) != (c.Advice != ""):
				t.Errorf("%s is %s and advises %q", c.Name, c.State, c.Advice)
			}
		}
	})
}

func TestShortcomingsAreToldOnce(t *testing.T) {
	slow, good := fit(), fit()
	slow.Trial.Saw.ClockSource = "hpet"
	got := analysis.Shortcomings([]measure.Examination{good, slow, slow})
	if want := []string{"the machine: clock source: hpet"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := analysis.Shortcomings(nil); got != nil {
		t.Errorf("nothing was examined, and it says %q", got)
	}
}
