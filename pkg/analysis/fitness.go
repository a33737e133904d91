package analysis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// State is what a check came to.
type State string

// The states of a check.
const (
	OK         State = "ok"
	Warned     State = "warning"     // it measures, but whoever reads it should know
	Unfit      State = "failure"     // what it measured would be wrong
	NotVisible State = "not_visible" // it can't be seen from here: neither good nor bad
)

// Check is one thing that an honest measurement rests on.
type Check struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	Seen   string `json:"seen"`
	Advice string `json:"advice,omitempty"` // what to do; nothing where there is nothing to do
}

// Need is what will be asked of the machine.
type Need struct {
	Users int                 // connections at once, at the most
	Cells []experiment.Limits // none: any that leaves the generator a core
	Free  *experiment.Bytes   // where the results go; nil where that isn't known

	Elsewhere bool // the load comes from other machines
}

// Thresholds of fitness.
const (
	cpuTolerance = 0.25 // of the probe's grant: a period more or less in a second is a tenth
	leastFree    = experiment.GiB
	clockMost    = 500 * time.Millisecond // half a window: when a service died is told by the engine's clock
	stealMost    = 0.01                   // of a machine at rest
	othersMost   = 0.10                   // of all cores, at rest
	spareFiles   = 100                    // what the generator opens besides its connections
	portsLeast   = 12000                  // connections that the agent makes from one address before it takes the next
)

// Fitness says of an engine and its machine whether they can measure honestly,
// check by check. What wasn't seen is told as that, and never as good.
func Fitness(x measure.Examination, need Need) []Check {
	trial := measure.ProbeTrial{}
	if x.Trial != nil {
		trial = *x.Trial
	}
	saw := measure.Probe{}
	if trial.Saw != nil {
		saw = *trial.Saw
	}
	return []Check{
		reached(x),
		groups(x),
		runtimeOf(x.Runtime),
		cpuLimit(x.Trial),
		memoryLimit(x.Trial),
		swapping(saw.Swap, x.SwapLimit),
		scheduler(saw),
		room(x.Host, need),
		others(saw.Others, x.Host.CPUs),
		stolen(saw.Steal),
		files(saw, x.AgentFiles, need.Users),
		portsOf(saw.Ports),
		disk("disk of the results", need.Free, "free some, or choose another folder with --results"),
		disk("disk of the engine", saw.Disk, "free some where the engine keeps containers (`docker system df` shows what it holds)"),
		clockSource(saw.ClockSource),
		clocks(x),
		pressure(saw.Pressure, x.Pressure),
		loadPath(need.Elsewhere),
	}
}

func loadPath(elsewhere bool) Check {
	from := "inside the service's network namespace"
	if elsewhere {
		from = "other machines over a network that the service joins"
	}
	return Check{"load path", OK, "the load comes from " + from + ": no published port, no userland proxy", ""}
}

// Failed returns those checks that failed.
func Failed(checks []Check) []Check {
	return slices.DeleteFunc(slices.Clone(checks), func(c Check) bool { return c.State != Unfit })
}

// Shortcomings returns what examinations warned of, in sentences for whoever
// reads the results; the same is told once.
func Shortcomings(examined []measure.Examination) []string {
	var out []string
	for _, x := range examined {
		for _, c := range Fitness(x, Need{}) {
			if text := "the machine: " + c.Name + ": " + c.Seen; c.State == Warned && !slices.Contains(out, text) {
				out = append(out, text)
			}
		}
	}
	return out
}

func reached(x measure.Examination) Check {
	c := Check{"engine", OK, fmt.Sprintf("%s answers at %s, API %s, %s on %s", x.Host.Engine, x.Endpoint, x.Host.API, x.Host.OS, x.Host.Kernel), ""}
	if len(x.Host.Warnings) > 0 {
		c.State, c.Seen = Warned, c.Seen+"; it warns: "+strings.Join(x.Host.Warnings, "; ")
		c.Advice = "give the kernel what it lacks (boot options such as cgroup_enable=memory swapaccount=1)"
	}
	return c
}

func groups(x measure.Examination) Check {
	c := Check{"control groups", OK, fmt.Sprintf("version %s, driver %s", x.Host.CgroupVersion, x.CgroupDriver), ""}
	switch {
	case x.Host.CgroupVersion == "" || x.CgroupDriver == "":
		return unseen(c.Name, "the engine doesn't tell version and driver")
	case x.CgroupDriver == "none":
		c.State, c.Advice = Unfit, "a rootless engine needs cgroup version 2 with cpu, cpuset and memory delegated to the user (systemd: Delegate=yes)"
	}
	return c
}

func runtimeOf(name string) Check {
	c := Check{"runtime", OK, name, ""}
	switch name {
	case "":
		return unseen(c.Name, "the engine doesn't tell which")
	case "runc", "crun", "youki", "io.containerd.runc.v2":
	default:
		c.State, c.Advice = Warned, "capacity is of the service inside this sandbox; make runc the engine's default runtime where production has it"
	}
	return c
}

// cpuLimit compares what the probe got with what it was granted.
func cpuLimit(trial *measure.ProbeTrial) Check {
	const name = "CPU limit"
	if c, ended := untried(name, trial); ended {
		return c
	}
	saw := trial.Saw
	if saw == nil || saw.Wall <= 0 {
		return unseen(name, "the probe ended before it could tell")
	}
	granted, got := trial.Limits.CPU.Float(), saw.CPU.Seconds()/saw.Wall.Seconds()
	c := Check{name, OK, fmt.Sprintf("a probe that wanted more got %.2f of %s CPU", got, trial.Limits.CPU), ""}
	if saw.Periods != nil && saw.Throttled != nil {
		c.Seen += fmt.Sprintf(", stopped in %d of %d periods", *saw.Throttled, *saw.Periods)
	}
	switch {
	case got > granted*(1+cpuTolerance) && saw.Scheduler == "enabled":
		c.State, c.Advice = Unfit, "end the sched_ext scheduler: while one is loaded, the kernel doesn't enforce CPU limits"
	case got > granted*(1+cpuTolerance):
		c.State, c.Advice = Unfit, "the engine doesn't enforce CPU limits: the cpu controller must be there and delegated to it (`docker info`, cgroup.controllers)"
	case got < granted*(1-cpuTolerance):
		c.State, c.Advice = Warned, "something else keeps the CPU from it: end what runs beside, or see what an outer limit grants this machine"
	case saw.Throttled != nil && *saw.Throttled == 0:
		c.State, c.Advice = Warned, "something other than its limit kept it there, for it was never stopped: end what runs beside, and look again"
	}
	return c
}

// memoryLimit tells how the probe fared that took more than it was granted.
func memoryLimit(trial *measure.ProbeTrial) Check {
	const name = "memory limit"
	if c, ended := untried(name, trial); ended {
		if c.State == Unfit { // the CPU limit's check has told why
			return unseen(name, "the probe couldn't be run")
		}
		return c
	}
	exit := trial.Exit
	c := Check{name, OK, "", ""}
	switch {
	case exit.Died && exit.OOMKilled:
		c.Seen = fmt.Sprintf("a probe that wanted more than %s was killed: out of memory told by the engine, exit code %d", trial.Limits.Memory, exit.Code)
	case exit.Died && exit.Code == 0:
		c.State, c.Seen = Unfit, fmt.Sprintf("a probe took three times its limit of %s and lived", trial.Limits.Memory)
		c.Advice = "the engine doesn't enforce memory limits, or lets containers swap: the memory controller must be there and delegated to it; end swap (swapoff -a)"
	case exit.Died:
		c.State, c.Seen = Warned, fmt.Sprintf("a probe that wanted more than %s ended with exit code %d, and the engine tells of no kill", trial.Limits.Memory, exit.Code)
		c.Advice = "services that are killed for memory will pass for crashed ones: update engine and kernel"
	default:
		c.State, c.Seen = Warned, fmt.Sprintf("a probe that wanted more than %s neither got it nor was killed", trial.Limits.Memory)
		c.Advice = "services will thrash at their limit rather than be killed: end swap (swapoff -a)"
	}
	return c
}

// untried returns what there is to say of a limit where no probe ran.
func untried(name string, trial *measure.ProbeTrial) (Check, bool) {
	switch {
	case trial == nil:
		return unseen(name, "no probe was run"), true
	case trial.Refused != "":
		return Check{name, Unfit, "the probe couldn't be run: " + trial.Refused, "what stops the probe stops every service: mend what the engine says"}, true
	default:
		return Check{}, false
	}
}

func swapping(swap *experiment.Bytes, limited bool) Check {
	c := Check{"swap", OK, "", ""}
	switch {
	case swap != nil && *swap == 0:
		c.Seen = "the host has none"
	case limited:
		c.Seen = "the engine keeps containers from it"
		if swap != nil {
			c.Seen = fmt.Sprintf("the host has %s, and %s", size(*swap), c.Seen)
		}
	case swap == nil:
		return unseen(c.Name, "the engine can't limit it, and whether the host has any isn't told")
	default:
		c.State = Warned
		c.Seen = fmt.Sprintf("the host has %s, and the engine can't keep containers from it: they use it before they are killed", size(*swap))
		c.Advice = "end swap (swapoff -a), or boot with swapaccount=1"
	}
	return c
}

func scheduler(saw measure.Probe) Check {
	c := Check{"scheduler", OK, "the kernel's own", ""}
	switch saw.Scheduler {
	case "enabled":
		c.State, c.Seen, c.Advice = Warned, "a sched_ext scheduler is loaded, which may not heed CPU limits", "end it, and look again"
	case "":
		if saw.ClockSource == "" { // nothing of the kernel is visible
			return unseen(c.Name, "the kernel doesn't tell which")
		}
	}
	return c
}

// room says whether the generator has a core beside the cells.
func room(host measure.Host, need Need) Check {
	cells := need.Cells
	c := Check{"cores", OK, fmt.Sprintf("%d; every cell leaves the generator one", host.CPUs), ""}
	if host.CPUs == 0 {
		return unseen(c.Name, "the engine doesn't tell how many there are")
	}
	if need.Elsewhere {
		c.Seen = fmt.Sprintf("%d; the generator has others", host.CPUs)
		return c
	}
	if len(cells) == 0 {
		c.Seen = fmt.Sprintf("%d; cells of up to %d CPU leave the generator one", host.CPUs, host.CPUs-1)
		if host.CPUs == 1 {
			c.State, c.Seen, c.Advice = Warned, "1, which service and generator share", "measure on a machine with two cores or more"
		}
		return c
	}
	var crowded []string
	for _, l := range cells {
		if Impossible(l, host) == "" && Crowded(l, host) {
			crowded = append(crowded, l.String())
		}
	}
	if len(crowded) > 0 {
		c.State, c.Seen = Warned, fmt.Sprintf("%d; less than one is left for the generator beside %s", host.CPUs, strings.Join(crowded, ", "))
		c.Advice = "measure these on a machine with more cores: seconds in which they fight don't count"
	}
	return c
}

// Crowded reports whether service and generator will want the same cores.
func Crowded(l experiment.Limits, host measure.Host) bool {
	return host.CPUs > 0 && l.CPU.Float()+1 > float64(host.CPUs)
}

func others(cores *float64, cpus int) Check {
	c := Check{"neighbours", OK, "", ""}
	if cores == nil || cpus == 0 {
		return unseen(c.Name, "the kernel doesn't tell what others use")
	}
	c.Seen = fmt.Sprintf("others use %.2f of %d cores at rest", *cores, cpus)
	if *cores > othersMost*float64(cpus) {
		c.State, c.Advice = Warned, "end what runs beside (`top` shows it), or measure when the machine is at rest"
	}
	return c
}

func stolen(share *float64) Check {
	c := Check{"steal", OK, "", ""}
	if share == nil {
		return unseen(c.Name, "the kernel doesn't tell what the hypervisor takes")
	}
	c.Seen = fmt.Sprintf("the hypervisor took %.1f %% of the time", 100**share)
	if *share > stealMost {
		c.State, c.Advice = Warned, "other machines on the same hardware compete: use one with dedicated cores, or measure at another time"
	}
	return c
}

// files says whether as many connections as there are users can be open, at
// either end.
func files(saw measure.Probe, agent *uint64, users int) Check {
	c := Check{"open files", OK, "", ""}
	service, agent := saw.Files, cmp.Or(agent, saw.MostFiles)
	if service == nil || agent == nil {
		return unseen(c.Name, "what a service may open isn't told")
	}
	c.Seen = fmt.Sprintf("a service may have %s, the agent %s", Thousands(int(*service)), Thousands(int(*agent)))
	if users > 0 {
		c.Seen += fmt.Sprintf("; %s users need as many at either end", Thousands(users))
	}
	need := uint64(users + spareFiles)
	if *agent < need {
		c.State, c.Advice = Warned, "the agent spreads its users over more file tables, which costs CPU; raise the limit of the engine itself (LimitNOFILE)"
	}
	if *service < need {
		c.State, c.Advice = Warned, fmt.Sprintf("a service that doesn't raise its own limit fails at %s connections, whatever CPU and memory it has: set default-ulimits in the engine's daemon.json where production has more", Thousands(int(*service)))
	}
	return c
}

func portsOf(n *int) Check {
	c := Check{"ports", OK, "", ""}
	if n == nil {
		return unseen(c.Name, "the kernel doesn't tell ip_local_port_range")
	}
	c.Seen = fmt.Sprintf("%s for each address of the agent, which takes another for every %s users", Thousands(*n), Thousands(portsLeast))
	if *n < portsLeast {
		c.State, c.Advice = Warned, "widen net.ipv4.ip_local_port_range: connections will fail for want of ports, which voids seconds"
	}
	return c
}

func disk(name string, free *experiment.Bytes, advice string) Check {
	c := Check{name, OK, "", ""}
	if free == nil {
		return unseen(name, "how much is free isn't told")
	}
	c.Seen = size(*free) + " free"
	if *free < leastFree {
		c.State, c.Advice = Warned, advice
	}
	return c
}

func clockSource(name string) Check {
	c := Check{"clock source", OK, name, ""}
	switch name {
	case "":
		return unseen(c.Name, "the kernel doesn't tell which")
	case "hpet", "acpi_pm", "jiffies", "refined-jiffies":
		c.State, c.Advice = Warned, "reading it takes a system call, a microsecond or more of each request: use tsc or the hypervisor's own (kvm-clock, hyperv_clocksource) where they are stable"
	}
	return c
}

func clocks(x measure.Examination) Check {
	c := Check{"clock offset", OK, "", ""}
	if x.ClockWithin == 0 {
		return unseen(c.Name, "the engine doesn't tell its time")
	}
	c.Seen = "the engine's clock and ours agree within " + Short(x.ClockOffset.Abs()+x.ClockWithin)
	if off := x.ClockOffset.Abs() - x.ClockWithin; off > clockMost {
		c.State = Warned
		c.Seen = fmt.Sprintf("the engine's clock differs from ours by %s or more", Short(off))
		c.Advice = "set both by NTP: when a service died is told by the engine's clock"
	}
	return c
}

// pressure says whether causes can be told from how long processes waited.
func pressure(kernel *bool, group bool) Check {
	c := Check{"pressure", OK, "the kernel keeps it, and each service's can be read", ""}
	switch {
	case group:
	case kernel == nil:
		return unseen(c.Name, "whether the kernel keeps it isn't told")
	case *kernel:
		return unseen(c.Name, "the kernel keeps it, but a service's own can't be read from here; causes are told without it")
	default:
		c.State, c.Seen, c.Advice = Warned, "the kernel doesn't keep it; causes are told without it", "boot with psi=1"
	}
	return c
}

func unseen(name, why string) Check { return Check{name, NotVisible, why, ""} }

// size writes b in the unit that people use of disks.
func size(b experiment.Bytes) string {
	if b < experiment.GiB {
		return fmt.Sprintf("%.0f MiB", b.MiB())
	}
	return fmt.Sprintf("%.1f GiB", b.MiB()/1024)
}
