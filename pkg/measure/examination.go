package measure

import (
	"time"

	"sweep/pkg/experiment"
)

// Examination is what was seen of an engine and its machine, to tell whether
// they can measure honestly. What couldn't be seen is nil, or empty.
type Examination struct {
	At       time.Time `json:"at"` // by this machine's clock
	Endpoint string    `json:"endpoint"`
	Host     Host      `json:"host"`

	Runtime      string `json:"runtime"`       // what runs containers by default: runc
	CgroupDriver string `json:"cgroup_driver"` // none where the engine can't limit
	SwapLimit    bool   `json:"swap_limit"`    // the engine can keep a container from swapping

	ClockOffset time.Duration `json:"clock_offset"` // how far the engine's clock is ahead of this machine's
	ClockWithin time.Duration `json:"clock_within"` // it is known so far to either side

	AgentFiles *uint64     `json:"agent_files,omitempty"` // how many files the load agent may have open; nil: as many as any container that asks
	Pressure   bool        `json:"pressure"`              // the pressure of a container can be read from here
	Trial      *ProbeTrial `json:"trial,omitempty"`       // nil where no probe could be run
}

// Placement is which cores service and generator may run on. Where it is zero
// both may run on all.
type Placement struct {
	Service   []int `json:"service"`
	Generator []int `json:"generator"`
}

// ProbeTrial is how a probe fared under limits: a container that takes more
// CPU than it is granted, and then more memory.
type ProbeTrial struct {
	Limits experiment.Limits `json:"limits"`
	Saw    *Probe            `json:"saw,omitempty"` // nil where it ended before it could tell
	Exit   Exit              `json:"exit"`

	Refused string `json:"refused,omitempty"` // why the engine couldn't or wouldn't run it under these limits
}

// Probe is what the probe saw: of itself, and of the machine below it. The
// kernel shows a container much of its host.
type Probe struct {
	Wall      time.Duration `json:"wall"` // for how long it took all CPU that it could get
	CPU       time.Duration `json:"cpu"`  // what it got
	Periods   *uint64       `json:"periods,omitempty"`
	Throttled *uint64       `json:"throttled,omitempty"` // of Periods, those in which the limit stopped it

	// Of the host, over the same time.
	Others *float64 `json:"others,omitempty"` // cores that all others used
	Steal  *float64 `json:"steal,omitempty"`  // share that the hypervisor took, 0 to 1

	Files       *uint64           `json:"files,omitempty"`      // how many files a service may have open, unless it asks for more
	MostFiles   *uint64           `json:"most_files,omitempty"` // how many it gets if it asks
	Ports       *int              `json:"ports,omitempty"`      // how many there are for connections from one address
	Disk        *experiment.Bytes `json:"disk,omitempty"`       // free where the engine keeps containers
	Swap        *experiment.Bytes `json:"swap,omitempty"`       // of the host
	Cores       [][]int           `json:"cores,omitempty"`      // of the host, by number; those in one list share a physical core
	ClockSource string            `json:"clock_source,omitempty"`
	Scheduler   string            `json:"scheduler,omitempty"`       // whether a sched_ext scheduler is loaded: enabled, disabled; nothing where the kernel has none
	Pressure    *bool             `json:"kernel_pressure,omitempty"` // the kernel keeps pressure
}
