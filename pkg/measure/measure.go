// Package measure is what was seen: windows of load, the service's use of its
// limits, how it ended. Nothing here is a judgement, so it can be judged again
// with another objective.
//
// It is pure: values, merging and encoding; no files, no clock, no network.
package measure

import (
	"cmp"
	"errors"
	"maps"
	"reflect"
	"time"

	"sweep/pkg/experiment"
)

// ErrNotReady says that a service didn't get ready in its time. It is an
// answer about the service, not a fault of the measurement.
var ErrNotReady = errors.New("the service did not get ready")

// ErrLost says that part of the generator was lost on the way, and with it part
// of the measurement: the trial decides nothing, and may be made again.
var ErrLost = errors.New("part of the load was lost")

// Target is a fresh start of the service, as the load finds it.
type Target struct {
	Trial     experiment.Trial // whose load it is to get
	Container string           // the container's id
	Network   string           // the network on which the load comes from beside it; empty: it comes from inside its network namespace
	Address   string           // host:port as seen from where the load comes from
	Down      <-chan struct{}  // closed once the service has died
}

// Class is a kind of failed request.
type Class string

// The classes of failed requests. The last is the generator's own fault: it
// never counts against the service and makes its window invalid.
const (
	Refused    Class = "refused"   // no connection could be made
	Reset      Class = "reset"     // the connection broke before the answer was complete
	Timeout    Class = "timeout"   // no complete answer within the request's timeout
	BadStatus  Class = "status"    // an answer with another status than expected
	BadContent Class = "content"   // an answer without the expected text
	Protocol   Class = "protocol"  // an answer that is not HTTP
	Own        Class = "generator" // no file descriptors, ports or memory left on the generator's side
)

// Classes returns all classes, in the order in which they are told.
func Classes() []Class {
	return []Class{Refused, Reset, Timeout, BadStatus, BadContent, Protocol, Own}
}

// Window is one second of measurement. A request belongs to the window in
// which it was due, whenever its answer comes; so a window is complete only
// once all of its requests are settled.
type Window struct {
	Start  time.Duration `json:"start"`  // since the load began
	Length time.Duration `json:"length"` // 0 while the window hasn't ended

	Sent     uint64           `json:"sent"` // requests begun
	Done     uint64           `json:"done"` // right answers
	Errors   map[Class]uint64 `json:"errors,omitempty"`
	Statuses map[int]uint64   `json:"statuses,omitempty"` // of Errors, those of class BadStatus by the status that came; not every generator tells
	Stale    uint64           `json:"stale,omitempty"`    // requests that found their idle connection closed by the service, and went on a fresh one
	Connect  Histogram        `json:"connect,omitzero"`   // connections that were opened: how long that took; not part of Service, but of Response
	First    Histogram        `json:"first"`              // right answers: from when the request was sent to the first byte
	Service  Histogram        `json:"service"`            // right answers: from when the sending began to the last byte
	Response Histogram        `json:"response"`           // right answers: from when the request was due to the last byte
	Lag      Histogram        `json:"lag"`                // all: from when the request was due to when the generator began it

	// What follows is known once the window has ended.
	Users    int           `json:"users"`          // at its end; of open arrivals, how many a second there are
	Answered uint64        `json:"answered"`       // right answers that came within it, whenever they were due
	InFlight int           `json:"in_flight"`      // requests unanswered at its end
	Oldest   time.Duration `json:"oldest"`         // how long the oldest of them has been waiting
	Late     time.Duration `json:"late,omitempty"` // 99th percentile of the lag at the latest of several generators; 0: one played all, or each too little to tell
	Effort   *Effort       `json:"effort,omitempty"`
	Usage    *Usage        `json:"usage,omitempty"`
	Network  *Network      `json:"network,omitempty"` // nil where the generator isn't inside the service's network namespace
}

// End returns when the window ends, since the load began.
func (w Window) End() time.Duration { return w.Start + w.Length }

// Failed returns how many requests failed by the service's fault.
func (w Window) Failed() uint64 {
	var n uint64
	for class, count := range w.Errors {
		if class != Own {
			n += count
		}
	}
	return n
}

// Pending returns how many requests are not settled yet.
func (w Window) Pending() uint64 {
	if settled := w.Done + w.Failed() + w.Errors[Own]; settled < w.Sent {
		return w.Sent - settled
	}
	return 0
}

// Merge adds what delta, the same or another window, counted; what is known at
// a window's end is taken from delta where delta has ended.
func (w *Window) Merge(delta Window) {
	w.Sent += delta.Sent
	w.Done += delta.Done
	w.Stale += delta.Stale
	w.Errors, w.Statuses = sum(w.Errors, delta.Errors), sum(w.Statuses, delta.Statuses)
	w.Connect.Merge(delta.Connect)
	w.First.Merge(delta.First)
	w.Service.Merge(delta.Service)
	w.Response.Merge(delta.Response)
	w.Lag.Merge(delta.Lag)
	if delta.Length > 0 {
		w.Length = delta.End() - w.Start
		w.Users, w.InFlight, w.Oldest = delta.Users, delta.InFlight, delta.Oldest
		w.Answered += delta.Answered
		w.Late = max(w.Late, delta.Late)
		w.Effort, w.Usage = delta.Effort, delta.Usage
		w.Network = w.Network.plus(delta.Network)
	}
}

// sum returns the counts of both, and changes neither: windows share them.
func sum[K comparable](a, b map[K]uint64) map[K]uint64 {
	if len(b) == 0 {
		return a
	}
	all := maps.Clone(a)
	if all == nil {
		all = map[K]uint64{}
	}
	for key, n := range b {
		all[key] += n
	}
	return all
}

// Tick is the generator's report, once a second: what has changed in the
// windows since its last report.
type Tick struct {
	At      time.Duration `json:"at"` // since the load began
	Windows []Window      `json:"windows"`
}

// Sum returns all that happened since the last tick as one window, whenever it
// was due.
func (t Tick) Sum() Window {
	var all Window
	for _, delta := range t.Windows {
		all.Merge(delta)
	}
	return all
}

// Series is a measurement's windows, in order, one a second from 0 on.
type Series struct {
	At      time.Duration `json:"at"` // how far the load has come: its length, once it has ended
	Windows []Window      `json:"windows"`
}

// Add merges a tick. Windows that don't exist yet are made, those between
// them too, so that a second without a request is a window as well.
func (s *Series) Add(t Tick) {
	s.At = max(s.At, t.At)
	answered := t.Sum().Done
	for _, delta := range t.Windows {
		i := int(delta.Start / time.Second)
		for len(s.Windows) <= i {
			s.Windows = append(s.Windows, Window{Start: time.Duration(len(s.Windows)) * time.Second})
		}
		if delta.Length > 0 {
			delta.Answered = answered
		}
		s.Windows[i].Merge(delta)
	}
}

// Last returns the last window that has ended, or nil.
func (s *Series) Last() *Window {
	for i := len(s.Windows) - 1; i >= 0; i-- {
		if s.Windows[i].Length > 0 {
			return &s.Windows[i]
		}
	}
	return nil
}

// Effort is what the load cost where it was made, over one window, and what
// kept the generator from its work. What can't be read there is nil.
type Effort struct {
	CPU         float64          `json:"cpu"`                 // cores that the generator used
	Cores       float64          `json:"cores"`               // cores that it may use at most: its threads, its affinity, its quota
	Busy        float64          `json:"busy"`                // share of the window in which its busiest loop wasn't waiting, 0 to 1
	Turn        time.Duration    `json:"turn"`                // the longest turn of a loop between two waits: an answer was read at most so late
	Pause       time.Duration    `json:"pause"`               // the longest stop for garbage collection
	Scheduler   time.Duration    `json:"scheduler"`           // 99th percentile of how long what was ready to run waited in Go's scheduler
	Throttled   *float64         `json:"throttled,omitempty"` // share of periods in which its own CPU quota stopped it, 0 to 1
	Memory      experiment.Bytes `json:"memory"`              // the generator's peak memory so far
	Allocations uint64           `json:"allocations"`         // objects that it put on the heap
	HostIdle    float64          `json:"host_idle"`           // share of all the host's cores that was idle, 0 to 1
	Steal       float64          `json:"steal"`               // share that the hypervisor took

	// Elsewhere is of the hosts that make the load, where they are others than the
	// service's, of which HostIdle and Steal then are; nil where they aren't.
	Elsewhere *Spare `json:"elsewhere,omitempty"`
}

// Spare is what hosts have left: the least of several.
type Spare struct {
	Idle  float64 `json:"idle"`  // share of all the host's cores that was idle, 0 to 1
	Steal float64 `json:"steal"` // share that the hypervisor took
}

// beside returns the least that either has.
func (s *Spare) beside(other *Spare) *Spare {
	if s == nil || other == nil {
		return cmp.Or(s, other)
	}
	return &Spare{Idle: min(s.Idle, other.Idle), Steal: max(s.Steal, other.Steal)}
}

// Network is what the kernel counted in the service's network namespace over
// one window, the generator's end of each connection included. It tells of TCP
// what neither end is told: that nobody accepts.
type Network struct {
	ListenOverflows uint64 `json:"listen_overflows"` // connections that found the accept queue full (TcpExt: ListenOverflows)
	ListenDrops     uint64 `json:"listen_drops"`     // connections that were dropped on their way in, those included (TcpExt: ListenDrops)
	Retransmits     uint64 `json:"retransmits"`      // segments sent again, by either end (Tcp: RetransSegs)
}

// plus returns the sum of what is known, nil where nothing is.
func (n *Network) plus(m *Network) *Network {
	if n == nil || m == nil {
		return cmp.Or(n, m)
	}
	return &Network{n.ListenOverflows + m.ListenOverflows, n.ListenDrops + m.ListenDrops, n.Retransmits + m.Retransmits}
}

// Counters are the service's counters at one instant, as the engine tells
// them since the container's start. What an engine doesn't tell is nil.
type Counters struct {
	Read      time.Time
	CPU       time.Duration     // CPU time used
	Periods   *uint64           // enforcement periods of the CPU limit
	Throttled *uint64           // those in which the service was stopped
	Memory    experiment.Bytes  // working set: without page cache that can be dropped
	Peak      *experiment.Bytes // most memory ever used, page cache included
	Anonymous *experiment.Bytes // of Memory, what no file backs: heaps and stacks
	Faults    *uint64           // major page faults: those that had to wait for a disk
	Stalls    *Stalls           // how long its processes have waited
	PIDs      uint64
	OOMKills  uint64 // out-of-memory events seen
}

// Stalls are for how long processes couldn't go on for want of a resource, as
// the kernel counts it since the container's start (pressure stall information).
type Stalls struct {
	CPU    time.Duration // at least one process waited for a CPU, its own limit included
	Memory time.Duration // all that had work to do waited for memory to be reclaimed or read again
	IO     time.Duration // all that had work to do waited for a disk
}

// Usage is what the service used over one window.
type Usage struct {
	CPU       float64          `json:"cpu"`                 // cores
	Throttled *float64         `json:"throttled,omitempty"` // share of periods in which it was stopped, 0 to 1
	Memory    experiment.Bytes `json:"memory"`              // working set at the end
	PIDs      uint64           `json:"pids"`
	OOMKills  uint64           `json:"oom_kills,omitempty"` // since the start

	// A service that thrashes faults and stalls; one that leaks grows in what no file backs.
	Anonymous *experiment.Bytes `json:"anonymous,omitempty"` // of Memory, what no file backs
	Faults    *float64          `json:"faults,omitempty"`    // major page faults a second
	Pressure  *Pressure         `json:"pressure,omitempty"`
}

// Pressure is the share of a window, 0 to 1, in which processes of the service
// couldn't go on for want of a resource; see [Stalls].
type Pressure struct {
	CPU    float64 `json:"cpu"`
	Memory float64 `json:"memory"`
	IO     float64 `json:"io"`
}

// Since returns what was used between before and c, or nil where no time has
// passed (an engine that repeats itself measured nothing).
func (c Counters) Since(before Counters) *Usage {
	elapsed := c.Read.Sub(before.Read)
	if elapsed <= 0 || c.CPU < before.CPU {
		return nil
	}
	u := &Usage{CPU: c.CPU.Seconds() - before.CPU.Seconds(), Memory: c.Memory, Anonymous: c.Anonymous, PIDs: c.PIDs, OOMKills: c.OOMKills}
	u.CPU /= elapsed.Seconds()
	u.Faults, u.Pressure = faults(before.Faults, c.Faults, elapsed), c.Stalls.since(before.Stalls, elapsed)
	if c.Periods != nil && before.Periods != nil && c.Throttled != nil && before.Throttled != nil && *c.Periods > *before.Periods {
		share := float64(*c.Throttled-*before.Throttled) / float64(*c.Periods-*before.Periods)
		u.Throttled = &share
	}
	return u
}

// faults returns how many there were a second, nil where it isn't known.
func faults(before, after *uint64, elapsed time.Duration) *float64 {
	if before == nil || after == nil || *after < *before {
		return nil
	}
	return new(float64(*after-*before) / elapsed.Seconds())
}

// since returns the shares of the time that has passed since before, nil where
// they aren't known.
func (s *Stalls) since(before *Stalls, elapsed time.Duration) *Pressure {
	if s == nil || before == nil {
		return nil
	}
	share := func(before, after time.Duration) float64 {
		return min(1, max(0, (after-before).Seconds()/elapsed.Seconds()))
	}
	return &Pressure{CPU: share(before.CPU, s.CPU), Memory: share(before.Memory, s.Memory), IO: share(before.IO, s.IO)}
}

// Exit is how the service ended.
type Exit struct {
	Died       bool              `json:"died"`                  // by itself, before sweep stopped it
	At         time.Time         `json:"at,omitzero"`           // when it died
	Code       int               `json:"code"`                  // its exit code, where it died
	OOMKilled  bool              `json:"oom_killed"`            // the kernel killed it for memory
	OOMKills   uint64            `json:"oom_kills"`             // out-of-memory events, its children's too
	PeakMemory *experiment.Bytes `json:"peak_memory,omitempty"` // most memory used, page cache included; nil where the engine doesn't tell
	Error      string            `json:"error,omitempty"`       // why the engine couldn't start it
	Log        string            `json:"-"`                     // its last output, kept apart
}

// Schema names the format of a stored [Result].
const Schema = "sweep.result/v1"

// Result is one trial's measurement: the only thing that is stored.
type Result struct {
	Schema   string           `json:"schema"`
	Trial    experiment.Trial `json:"trial"`
	Began    time.Time        `json:"began"`
	Loaded   time.Time        `json:"loaded,omitzero"` // when the load began; zero where the service never got ready
	Ready    bool             `json:"ready"`
	NotReady string           `json:"not_ready,omitempty"`         // what the last look at it said
	Ceiling  float64          `json:"generator_ceiling,omitempty"` // requests a second that the generator made at most, when it was tried alone
	Took     Took             `json:"took"`
	Series   Series           `json:"series"`
	Exit     Exit             `json:"exit"`
	Warnings []string         `json:"warnings,omitempty"`
}

// Took is where a trial's time went. What is not in it is the load.
type Took struct {
	Start time.Duration `json:"start"` // to create and start the container
	Boot  time.Duration `json:"boot"`  // from there until the service was ready
	Load  time.Duration `json:"load"`
	Stop  time.Duration `json:"stop"`
	Total time.Duration `json:"total"`
}

// Host is the machine that the service ran on, and what it ran with.
type Host struct {
	Engine        string           `json:"engine"` // the engine's version
	API           string           `json:"api"`
	OS            string           `json:"os"`
	Kernel        string           `json:"kernel"`
	Architecture  string           `json:"architecture"`
	CgroupVersion string           `json:"cgroup_version"`
	CPUs          int              `json:"cpus"`
	Memory        experiment.Bytes `json:"memory"`
	Warnings      []string         `json:"warnings,omitempty"` // what the engine can't limit, or doesn't tell
}

// Manifest is what a run was made with.
type Manifest struct {
	Schema    string    `json:"schema"` // "sweep.manifest/v1"
	Run       string    `json:"run"`
	Began     time.Time `json:"began"`
	Question  string    `json:"question"` // digest of what makes a measurement different; see experiment.Question
	Version   string    `json:"version"`  // sweep's own
	Image     string    `json:"image"`    // as the experiment names it
	ImageID   string    `json:"image_id"`
	Digests   []string  `json:"digests,omitempty"`   // the image's digests in registries
	Blueprint string    `json:"blueprint,omitempty"` // digest of what the service's containers were made from, limits apart
	Seed      int64     `json:"seed"`
	Host      Host      `json:"host"`

	Images    map[string]Image `json:"images,omitempty"`   // instead of Image, ImageID and Digests where cells set theirs: by the names that they give
	Examined  []Examination    `json:"examined,omitempty"` // one each time that the run was begun or continued
	Placement Placement        `json:"placement,omitzero"` // the same for all trials
}

// Image is what a service is started from.
type Image struct {
	ID      string   `json:"id"`
	Digests []string `json:"digests,omitempty"` // in registries
}

// Same reports whether h and o would measure the same: the same machine and
// engine, as far as the engine tells.
func (h Host) Same(o Host) bool {
	h.Warnings, o.Warnings = nil, nil
	return reflect.DeepEqual(h, o)
}
