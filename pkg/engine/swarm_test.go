package engine

import (
	"testing"

	"github.com/docker/docker/api/types/swarm"
)

func TestATaskThatWontRunSaysWhy(t *testing.T) {
	for _, c := range []struct {
		state     swarm.TaskState
		err, want string // "": it may yet
	}{
		{swarm.TaskStateNew, "", ""},
		{swarm.TaskStatePending, "", ""},
		{swarm.TaskStatePreparing, "", ""},
		{swarm.TaskStateRunning, "", ""},
		{swarm.TaskStatePending, "no suitable node (1 node not available)", "no suitable node (1 node not available); `docker node ls` lists the nodes: the one that runs the service isn't used, nor those to which the constraint doesn't apply"},
		{swarm.TaskStateRejected, "No such image: sweep:latest", "No such image: sweep:latest; load it there, or name an image that the nodes can pull"},
		{swarm.TaskStateFailed, "task: non-zero exit (1)", "a worker ended: task: non-zero exit (1)"},
		{swarm.TaskStateComplete, "", "a worker ended: complete"},
	} {
		got := ""
		if err := lame(swarm.Task{Status: swarm.TaskStatus{State: c.state, Err: c.err}}); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s %q: %q", c.state, c.err, got)
		}
	}
}

// A Swarm's names are a host's.
func TestNamesFitForASwarm(t *testing.T) {
	for run, want := range map[string]string{
		"20261124T184100Z": "sweep-20261124T184100Z-locustfile-py",
		"0123456789012345678901234567890123456789012345678901234567890123456789": "1234567890123456789012345678901234567890123456789-locustfile-py",
	} {
		if got := (&Swarm{owner: Owner{Run: run}}).called("locustfile.py"); got != want || len(got) > 63 {
			t.Errorf("of run %s: %s", run, got)
		}
	}
}
