package enginetest

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Swarm is a Swarm of several engines, all on this machine.
type Swarm struct {
	Nodes []*Node // the first is the manager, the others are workers
}

// Node is an engine of a [Swarm]. Its name there is node0, node1, ..., by its
// place among the nodes. Its containers have the networks of the Swarm alone.
type Node struct {
	Socket string // unix://
	ID     string // in the Swarm

	cut func(testing.TB)
}

// StartSwarm starts engines, and makes a Swarm of them. When the test has ended,
// they and their containers go as [Start]'s do.
func StartSwarm(t testing.TB, nodes int) *Swarm {
	t.Helper()
	e := prepare(t, nodes)
	e.start(t, nil)
	s := &Swarm{}
	for i := range nodes {
		s.Nodes = append(s.Nodes, &Node{Socket: e.socket(i), cut: func(t testing.TB) {
			t.Helper()
			e.order(t, filepath.Base(e.folder(i))+" down")
		}})
	}
	manager := s.Nodes[0]
	manager.Docker(t, "swarm", "init", "--advertise-addr", e.addresses[0].String())
	token := manager.Docker(t, "swarm", "join-token", "--quiet", "worker")
	for i, n := range s.Nodes {
		if n != manager {
			n.Docker(t, "swarm", "join", "--token", token, "--advertise-addr", e.addresses[i].String(), e.addresses[0].String()+":2377")
		}
		n.ID = n.Docker(t, "info", "--format", "{{.Swarm.NodeID}}")
	}
	return s
}

// Docker runs docker's command on the node, and returns what it prints.
func (n *Node) Docker(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "docker", append([]string{"--host", n.Socket}, args...)...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s%s", strings.Join(args, " "), err, out, &said)
	}
	return strings.TrimSpace(string(out))
}

// Load copies an image from this machine's engine to the node.
func (n *Node) Load(t testing.TB, ref string) {
	t.Helper()
	load(t, n.Socket, ref)
}

// Cut takes the node's cable out: to the others it is gone without a goodbye,
// and goes on by itself. Its socket answers as before.
func (n *Node) Cut(t testing.TB) {
	t.Helper()
	n.cut(t)
}
