package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var kills = flag.Int("kills", 3, "at how many moments of a sweep of a running container it is killed")

// A resident is a container that was there before sweep: with everything that
// a careless clone would lose.
type resident struct {
	t    *testing.T
	name string
}

func newResident(t *testing.T) resident {
	t.Helper()
	name := fmt.Sprintf("sweep-test-%d-%d", os.Getpid(), time.Now().UnixNano()%1e9)
	r := resident{t, name}
	t.Cleanup(func() {
		docker(t, "rm", "--force", "--volumes", name)
		docker(t, "volume", "rm", "--force", name)
		docker(t, "network", "rm", name, name+"-2")
	})
	// Not of the pools from which engines take subnets by themselves.
	docker(t, "network", "create", "--subnet", "10.213.77.0/24", name)
	docker(t, "network", "create", name+"-2")
	docker(t, "create", "--name", name, "--network", name, "--ip", "10.213.77.10", "--network-alias", "web",
		"--publish", "127.0.0.1:18417:8000", "--volume", "/data", "--volume", name+":/named", "--env", "GREETING=hello",
		"--restart", "unless-stopped", "--memory", "300m", "--label", "sweep.test="+name, "sweep/predictor:dev")
	docker(t, "network", "connect", "--alias", "second", name+"-2", name)
	docker(t, "start", name)
	return r
}

// inspect returns what the engine says of it, but for what any restart changes.
func (r resident) inspect() map[string]any {
	r.t.Helper()
	var all []map[string]any
	if err := json.Unmarshal([]byte(docker(r.t, "inspect", r.name)), &all); err != nil {
		r.t.Fatal(err)
	}
	c := all[0]
	state, network := c["State"].(map[string]any), c["NetworkSettings"].(map[string]any)
	for _, key := range []string{"Pid", "StartedAt", "FinishedAt"} {
		delete(state, key)
	}
	delete(network, "SandboxID")
	delete(network, "SandboxKey")
	for _, n := range network["Networks"].(map[string]any) {
		delete(n.(map[string]any), "EndpointID")
	}
	// The second network gives any address, and volumes are told in any order.
	second := network["Networks"].(map[string]any)[r.name+"-2"].(map[string]any)
	delete(second, "IPAddress")
	delete(second, "MacAddress")
	mounts := map[string]any{}
	for _, m := range c["Mounts"].([]any) {
		mounts[m.(map[string]any)["Destination"].(string)] = m
	}
	c["Mounts"] = mounts
	return c
}

func (r resident) expect(before map[string]any, when string) {
	r.t.Helper()
	if diff := cmp.Diff(before, r.inspect()); diff != "" {
		r.t.Errorf("%s, the container is not as it was (-before +after):\n%s", when, diff)
	}
}

func (r resident) settings() []string { return []string{"KIND=container", "IMAGE=" + r.name} }

// volumes returns all volumes of the engine: a sweep leaves none.
func volumes(t *testing.T) string { return docker(t, "volume", "ls", "--quiet") }

func TestARunningContainerIsPutBackAsItWas(t *testing.T) {
	r := newResident(t)
	b := newBench(t, "KIND=container", "IMAGE=sweep.test="+r.name)
	before, had := r.inspect(), volumes(t)
	o := b.run(nil, "run", "small.yaml", "--json")
	if o.code != 0 || !strings.Contains(o.out, `"outcome": "passed"`) {
		t.Errorf("exit %d\n%s%s", o.code, o.out, o.err)
	}
	for _, note := range []string{r.name + " is stopped while a copy of it", "volume " + r.name + " (/named)"} {
		if !strings.Contains(o.err, note) {
			t.Errorf("nothing is said of %q:\n%s", note, o.err)
		}
	}
	r.expect(before, "after a sweep")
	if now := volumes(t); now != had {
		t.Errorf("volumes before:\n%s\nafter:\n%s", had, now)
	}
}

// Wherever sweep is killed, its guard puts everything back.
func TestASweepThatIsKilledPutsTheContainerBack(t *testing.T) {
	r := newResident(t)
	b := newBench(t, r.settings()...)
	before, had := r.inspect(), volumes(t)
	began := time.Now()
	b.sweep()
	length := time.Since(began)
	for i := range *kills {
		// One moment in each of as many parts of a sweep.
		at := time.Duration((float64(i) + rand.Float64()) / float64(*kills) * float64(length))
		cmd := b.command(nil, "run", "small.yaml", "--fresh")
		out := &output{}
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(at)
		_ = cmd.Process.Signal(syscall.SIGKILL) // where it has ended, all the better
		_ = cmd.Wait()
		b.awaitGuards()
		r.expect(before, fmt.Sprintf("killed after %s", at))
		b.expectNothingLeft()
		if now := volumes(t); now != had {
			t.Errorf("killed after %s: volumes before:\n%s\nafter:\n%s", at, had, now)
		}
		if t.Failed() {
			t.Fatalf("sweep said:\n%s", out)
		}
	}
}

func TestRestoreStartsTheContainerAgainAfterAPowerCut(t *testing.T) {
	r := newResident(t)
	b := newBench(t)
	before := r.inspect()
	b.killed(r.settings()...)
	if state := docker(t, "inspect", "--format", "{{.State.Status}}", r.name); state != "exited" {
		t.Errorf("it is %s while another is in its place", state)
	}
	o := b.run(nil, "restore")
	if o.code != 0 || !strings.Contains(o.out, "started "+r.name+" again\n") {
		t.Errorf("restore: exit %d: %s%s", o.code, o.out, o.err)
	}
	r.expect(before, "after a power cut")
	if o := b.run(nil, "restore"); o.code != 0 || o.out != "nothing to put back\n" {
		t.Errorf("restore a second time: exit %d: %s%s", o.code, o.out, o.err)
	}
}

// A note that is removed leaves sweep itself as the only one who knows.
func TestTheContainerIsPutBackThoughItsNoteIsGone(t *testing.T) {
	r := newResident(t)
	b := newBench(t)
	before := r.inspect()
	cmd, out := b.startedWith(r.settings())
	docker(t, "rm", "sweep-note-"+docker(t, "inspect", "--format", "{{.Id}}", r.name)[:12])
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit %d:\n%s", code, out)
	}
	r.expect(before, "without its note")
}

func TestTwoSweepsDoNotTakeTheSameContainer(t *testing.T) {
	r := newResident(t)
	b, other := newBench(t), newBench(t, r.settings()...)
	before := r.inspect()
	cmd, out := b.startedWith(r.settings())
	if o := other.run(nil, "run", "small.yaml"); o.code != 1 || !strings.Contains(o.err, "another sweep has taken the place of container "+r.name) {
		t.Errorf("the second: exit %d: %s", o.code, o.err)
	}
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("the first ended with %d:\n%s", code, out)
	}
	r.expect(before, "after Ctrl-C")
}

func TestContainersThatCouldNotBePutBackAreRefused(t *testing.T) {
	r := newResident(t)
	for _, c := range []struct {
		name, says, flags string
	}{
		{"-rm", "removed as soon as it stops", "--rm"},
		{"-shares", "in the network of another container", "--network=container:" + r.name},
	} {
		name := r.name + c.name
		docker(t, "run", "--detach", "--name", name, c.flags, "debian:bookworm-slim", "sleep", "600")
		b := newBench(t, "KIND=container", "IMAGE="+name)
		if o := b.run(nil, "run", "small.yaml"); o.code != 1 || !strings.Contains(o.err, c.says) {
			t.Errorf("%s: exit %d: %s", c.name, o.code, o.err)
		}
		if c.name == "-shares" {
			b := newBench(t, r.settings()...)
			if o := b.run(nil, "run", "small.yaml"); o.code != 1 || !strings.Contains(o.err, name+" shares its network") {
				t.Errorf("the one whose network is shared: exit %d: %s", o.code, o.err)
			}
		}
		docker(t, "rm", "--force", name)
	}
	b := newBench(t, "KIND=container", "IMAGE=sweep.test="+r.name+",no=such")
	if o := b.run(nil, "run", "small.yaml"); o.code != 1 || !strings.Contains(o.err, "no running container has the labels") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
	b = newBench(t, "KIND=container", "IMAGE="+r.name+"x")
	if o := b.run(nil, "run", "small.yaml"); o.code != 1 || !strings.Contains(o.err, "did you mean "+r.name+"?") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
}
