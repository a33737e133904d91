// Package locust makes load with Locust: any locustfile, unchanged, run by
// Locust's own workers, which sweep drives as their master ([Serve], [Cluster]),
// or by a cluster that somebody else runs, over its page ([Page]). It measures
// and doesn't judge.
//
// # Why sweep is the master
//
// Locust's own master tells by its page of means over ten seconds that come two
// to five late; on a ramp of 100 users a second that is an error of hundreds of
// users. Its workers tell their master how many requests ended in which second,
// how long they took, how busy they are and whether they live. The messages
// are the same in Locust 2.12.1, which Debian ships, and in today's, whereas the
// page, the CSV files and what a listener in the locustfile would have to hook
// into differ. So the master is sweep: it says exactly which users each worker
// has, seven times a second where Locust's own takes steps of a second.
//
// # Where it runs
//
// The master is the agent (this program, in a container beside the service, on
// its network), and the workers share its network namespace, and that of its
// processes, so that none outlives it. They reach it at 127.0.0.1, so that nothing
// of a protocol without passwords is open to anybody else, and it needs no address
// that an engine elsewhere could reach. Workers on other machines reach it on a
// network that only they and the service share. What it
// sees comes over the agent's standard output, as a native agent's does. Master
// and workers live as long as a run; each trial tells the workers another host.
// The page of a cluster of somebody else's keeps the last in its form, since
// nothing but beginning a test sets it.
//
// # What isn't known
//
// A request counts in the second in which it ended, not in that in which it was
// due, and response times are known of three seconds together: see
// [experiment.Generator.Blur].
// Users who are stopped in the middle of a request leave no trace, and neither
// does a request that is never answered. How many requests are out isn't told:
// a window's InFlight is the least that there can be, for a user who hasn't had
// an answer for longer than it ever waits must be waiting for one. When a
// request was due isn't told either, so there is no lag; what tells of a worker
// that can't keep up is its CPU, and how late its heartbeats are.
package locust

import (
	"cmp"
	"time"

	"sweep/pkg/experiment"
)

// Plan is all that a master must know to load one start of the service.
type Plan struct {
	Host    string          `json:"host"` // the service's URL, without a path, as users see it
	Ramp    experiment.Ramp `json:"ramp"`
	Classes []Class         `json:"classes,omitempty"` // of a cluster of somebody else's its master knows them
	Wait    time.Duration   `json:"wait"`              // the longest that a user goes without a request
}

// NewPlan returns the experiment's plan for the service at address, host:port.
func NewPlan(e *experiment.Experiment, address string, classes []Class) Plan {
	return Plan{Host: cmp.Or(e.Generator.Locust.Host, "http://"+address), Ramp: e.Users.Ramp(), Classes: classes, Wait: e.Users.Wait.Longest()}
}
