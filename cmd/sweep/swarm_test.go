package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sweep/pkg/engine/enginetest"
)

// inSwarm starts a Swarm of three nodes on this machine, who have Locust: one that
// has the service, too, and two, labelled so, that have this very program.
func inSwarm(t *testing.T) *enginetest.Swarm {
	t.Helper()
	s := enginetest.StartSwarm(t, 3)
	s.Nodes[0].Load(t, "sweep/predictor:dev")
	for _, n := range s.Nodes {
		n.Load(t, "sweep/locust:dev")
	}
	folder := t.TempDir()
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{program: "bin/sweep", "../../Dockerfile": "Dockerfile"} {
		copyFile(t, from, filepath.Join(folder, to))
	}
	for _, n := range s.Nodes[1:] {
		n.Docker(t, "build", "--quiet", "--tag", "sweep", folder)
		s.Nodes[0].Docker(t, "node", "update", "--label-add", "sweep=load", n.ID)
	}
	return s
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	copied, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	if _, err := io.Copy(copied, source); err != nil {
		t.Fatal(err)
	}
}

// expectNothingOn waits until there is nothing of sweep's on a node: a Swarm
// takes a while to let its tasks go.
func expectNothingOn(t *testing.T, manager bool, n *enginetest.Node) {
	t.Helper()
	looks := [][]string{{"ps", "--all"}, {"network", "ls"}}
	if manager {
		looks = append(looks, []string{"service", "ls"}, []string{"config", "ls"})
	}
	for _, look := range looks {
		left := "never looked"
		for began := time.Now(); left != "" && time.Since(began) < 30*time.Second; time.Sleep(100 * time.Millisecond) {
			left = n.Docker(t, append(look, "--quiet", "--filter", "label=sweep.run")...)
		}
		if left != "" {
			t.Errorf("%s: left is %s", strings.Join(look, " "), left)
		}
	}
}

// On the manager of a Swarm of three nodes: the load comes from the two others,
// whoever makes it, and nothing is left; nor is the loss of one of them held
// against the service.
func TestOtherNodesOfASwarmMakeTheLoad(t *testing.T) {
	swarm := inSwarm(t)
	manager := swarm.Nodes[0]
	t.Setenv("DOCKER_HOST", manager.Socket)
	placed := func(swarm string, settings ...string) string {
		return experimentWith(append(settings, "FROM=network")...) + "placement: {swarm: " + swarm + "}\n"
	}
	whole := t // its context lasts longer than a part's
	newBench := func(t *testing.T, text string) *bench {
		b := &bench{t: t, dir: t.TempDir()}
		b.write("small.yaml", text)
		t.Cleanup(func() {
			expectNothingOn(whole, true, manager)
			expectNothingOn(whole, false, swarm.Nodes[1])
		})
		return b
	}

	t.Run("agents", func(t *testing.T) {
		b := newBench(t, placed("{agents: 3, constraint: node.labels.sweep==load}", "HOLD=4s"))
		if o := b.run(nil, "plan", "small.yaml"); !strings.Contains(o.out, "The load comes from 3 agents on other nodes of the Docker Swarm with node.labels.sweep==load.") {
			t.Errorf("planned is\n%s%s", o.out, o.err)
		}
		if c := b.sweep().Cells[0]; c.Outcome != "passed" || c.LastPass.Users != 60 {
			t.Fatalf("got %+v", c)
		}
		for _, w := range b.measured().Series.Windows[3:5] { // 60 users twice a second, of three agents and seen by a fourth
			if w.Users != 60 || w.Done < 90 || w.Failed() > 0 || w.Effort == nil || w.Effort.HostIdle == 1 || w.Usage == nil || w.Network == nil {
				t.Errorf("second %v: %d users, %d answers, %d failed, effort %+v, network %+v", w.Start, w.Users, w.Done, w.Failed(), w.Effort, w.Network)
			}
		}
	})

	t.Run("Locust's workers", func(t *testing.T) {
		b := newBench(t, strings.NewReplacer("@CPUS@", "0.5", "@TARGET@", "60", "@RAMP@", "4s").Replace(locustSmall)+"placement: {swarm: {}}\n")
		b.write("locustfile.py", users)
		if c := b.sweep().Cells[0]; c.Outcome != "passed" || c.LastPass.Users != 60 {
			t.Errorf("got %+v", c)
		}
	})

	for what, c := range map[string]struct{ swarm, said string }{
		"an image that nodes haven't": {"{image: sweep/none}", "No such image: sweep/none"},
		"a constraint that none fits": {"{constraint: node.labels.sweep==none}", "no suitable node (scheduling constraints not satisfied on 3 nodes)"},
	} {
		t.Run(what, func(t *testing.T) {
			b := newBench(t, placed(c.swarm))
			if o := b.run(nil, "run", "small.yaml", "--quiet"); o.code != 1 || !strings.Contains(o.err, c.said) {
				t.Errorf("exit %d\n%s", o.code, o.err)
			}
		})
	}

	t.Run("a service of a Compose project", func(t *testing.T) {
		b := newBench(t, placed("{}", "KIND=compose", "IMAGE={file: compose.yaml, service: api}"))
		const compose = "services: {api: {image: 'sweep/predictor:dev', %s}}\nnetworks: {inner: {internal: true}}\n"
		b.write("compose.yaml", fmt.Sprintf(compose, "network_mode: host"))
		if o := b.run(nil, "run", "small.yaml", "--quiet"); o.code != 1 || !strings.Contains(o.err, "network mode host") {
			t.Errorf("in its host's network: exit %d\n%s", o.code, o.err)
		}
		b.write("compose.yaml", fmt.Sprintf(compose, "networks: [inner]"))
		if c := b.sweep().Cells[0]; c.Outcome != "passed" {
			t.Errorf("in a network of its own: %+v", c)
		}
	})

	t.Run("a sweep that is killed", func(t *testing.T) {
		b := newBench(t, placed("{agents: 2}", "RAMP=1m"))
		cmd, said := b.loading()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if o := b.run(nil, "restore"); o.code != 0 { // or the guard has done it already
			t.Errorf("exit %d\n%s\n%s", o.code, o.err, said)
		}
	})

	t.Run("a node that is lost", func(t *testing.T) { // the last, since it stays away
		b := newBench(t, placed("{agents: 2}", "RAMP=12s"))
		cmd, said := b.loading()
		swarm.Nodes[2].Cut(t)
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		if c := b.sweep().Cells[0]; c.Outcome != "passed" || c.LastPass.Users != 60 {
			t.Errorf("got %+v", c)
		}
		lost := func(warning string) bool {
			return strings.HasPrefix(warning, "run again after ") && strings.Contains(warning, "part of the load was lost")
		}
		if r := b.measured(); !slices.ContainsFunc(r.Warnings, lost) {
			t.Errorf("nothing is said of what was lost: %q\n%s", r.Warnings, said)
		}
		for began := time.Now(); swarm.Nodes[2].Docker(t, "ps", "--quiet") != ""; time.Sleep(100 * time.Millisecond) {
			if time.Since(began) > 30*time.Second {
				t.Fatal("an agent that nobody hears plays on")
			}
		}
	})
}
