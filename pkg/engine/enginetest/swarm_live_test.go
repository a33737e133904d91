package enginetest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// These tests need Linux, root (or a sudo that doesn't ask), a Docker Engine and
// the images that `make test` makes.

const image = "sweep/predictor:dev"

// folder returns where all is that the Swarm has.
func (s *Swarm) folder() string {
	return filepath.Dir(filepath.Dir(strings.TrimPrefix(s.Nodes[0].Socket, "unix://")))
}

// serve runs a service of the image on a worker, with the worker's name, and
// returns when its container runs.
func (s *Swarm) serve(t *testing.T, i int) {
	t.Helper()
	s.Nodes[i].Load(t, image)
	node := fmt.Sprintf("node%d", i)
	s.Nodes[0].Docker(t, "service", "create", "--detach", "--quiet", "--no-resolve-image", "--name", node,
		"--constraint", "node.hostname=="+node, "--endpoint-mode", "dnsrr", "--network", "joint", image)
	for began := time.Now(); s.Nodes[i].Docker(t, "ps", "--quiet") == ""; {
		if time.Since(began) > answersWithin {
			t.Fatalf("the service on %s doesn't run:\n%s", node, s.Nodes[0].Docker(t, "service", "ps", "--no-trunc", node))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestSwarm(t *testing.T) {
	var folder string
	t.Run("while it is there", func(t *testing.T) {
		began := time.Now()
		s := StartSwarm(t, 3)
		t.Logf("there after %v", time.Since(began).Round(time.Millisecond))
		folder = s.folder()
		manager, away := s.Nodes[0], s.Nodes[2]
		if got := manager.Docker(t, "node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}"); got != "node0 Ready Leader\nnode1 Ready \nnode2 Ready" {
			t.Errorf("the nodes are\n%s", got)
		}

		manager.Load(t, "debian:bookworm-slim")
		manager.Docker(t, "network", "create", "--driver", "overlay", "--attachable", "joint")
		s.serve(t, 1)
		s.serve(t, 2)
		// Until the manager has heard of a container, there is no such name.
		const ask = `for node in node1 node2; do
			until exec 3<>/dev/tcp/$node/8000; do sleep 0.1; done
			printf 'GET /health HTTP/1.0\r\n\r\n' >&3
			cat <&3
		done`
		got := manager.Docker(t, "run", "--rm", "--network", "joint", "--dns-option", "timeout:1", "debian:bookworm-slim", "timeout", "30", "bash", "-c", ask)
		if strings.Count(got, `{"status":"ok"}`) != 2 {
			t.Errorf("the services on the workers answer\n%s", got)
		}

		away.Cut(t)
		cut := time.Now()
		for manager.Docker(t, "node", "inspect", "--format", "{{.Status.State}}", away.ID) != "down" {
			if time.Since(cut) > 50*time.Second {
				t.Fatal("a node is cut off, and the manager doesn't see it")
			}
			time.Sleep(time.Second)
		}
		t.Logf("down after %v", time.Since(cut).Round(time.Second))
		if away.Docker(t, "ps", "--quiet") == "" {
			t.Error("the node that is cut off has ended its container")
		}
	})
	if folder != "" {
		gone(t, folder, 0)
	}
}

// The test starts itself, and kills that when a container of a Swarm runs.
func TestSwarmOfATestThatIsKilled(t *testing.T) {
	const victim = "SWEEP_ENGINETEST_VICTIM"
	if os.Getenv(victim) != "" {
		s := StartSwarm(t, 2)
		s.Nodes[0].Docker(t, "network", "create", "--driver", "overlay", "joint")
		s.serve(t, 1)
		fmt.Println("in " + s.folder())
		select {}
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), victim+"=1")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var folder string
	var said strings.Builder
	for lines := bufio.NewScanner(io.TeeReader(out, &said)); folder == "" && lines.Scan(); {
		if in, ok := strings.CutPrefix(lines.Text(), "in "); ok {
			folder = in
		}
	}
	cmd.Process.Kill()
	if err := cmd.Wait(); folder == "" {
		t.Fatalf("%v\n%s", err, &said)
	}
	gone(t, folder, 20*time.Second) // nobody waits for guard but us
}

// gone waits until nothing is left of the engines in a folder.
func gone(t *testing.T, folder string, within time.Duration) {
	t.Helper()
	began := time.Now()
	for {
		all := left(t, folder)
		after := time.Since(began)
		if len(all) == 0 {
			t.Logf("gone after %v", after.Round(time.Millisecond))
			return
		}
		if after > within {
			t.Fatalf("left after %v:\n%s", after, strings.Join(all, "\n"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// left returns what is there of the engines in a folder: it, mounts, interfaces,
// control groups, which hold all processes of containers, and other processes.
func left(t *testing.T, folder string) []string {
	t.Helper()
	var all []string
	if _, err := os.Stat(folder); err == nil {
		all = append(all, folder)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for mount := range strings.Lines(string(mounts)) {
		if strings.Contains(mount, folder) {
			all = append(all, mount)
		}
	}
	for _, pattern := range []string{
		"/sys/class/net/" + link(folder), "/sys/fs/cgroup/" + filepath.Base(folder), "/sys/fs/cgroup/*/" + filepath.Base(folder),
	} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, files...)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if command, _ := os.ReadFile(p); strings.Contains(string(command), folder) { // it may be gone by now
			all = append(all, p+": "+strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	return all
}
