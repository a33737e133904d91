package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// targets asks the same of the team's own service, however it is named.
const targets = `version: 1
name: small
service:
  @TARGET@
  port: 8000
  ready: {path: /health, within: 60s}
request:
  method: POST
  path: /predict
  headers: {Content-Type: application/json}
  body: '{"features": [12.5, 3, 17.5]}'
  expect: {contains: prediction}
matrix:
  cells: [{cpus: 0.25, memory: 300M}, {cpus: 1, memory: 300M}]
users: {target: 500, ramp: 8s, hold: 4s, wait: {constant: 1s}}
search: {preset: quick}
`

// team sets the team's own service up as it had it: FastAPI by Compose, under
// limits, on an external network.
func team(t *testing.T) (compose string) {
	t.Helper()
	compose, err := filepath.Abs("../../compose/prediction.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if exec.Command("docker", "network", "inspect", "proyecto2_default").Run() != nil {
		docker(t, "network", "create", "proyecto2_default")
		t.Cleanup(func() { docker(t, "network", "rm", "proyecto2_default") })
	}
	return compose
}

func TestEveryKindOfTargetHasTheSameVerdict(t *testing.T) {
	compose := team(t)
	folder := filepath.Dir(compose)
	for _, kind := range []struct{ name, target string }{
		{"image", "image: sweep/fastapi:dev"},
		{"build", "build: {context: " + filepath.Join(folder, "fastapi") + "}"},
		{"compose", "compose: {file: " + compose + ", service: api}"},
		{"container", "container: sweep-test-team"},
	} {
		t.Run(kind.name, func(t *testing.T) {
			b := newBench(t)
			b.write("small.yaml", strings.ReplaceAll(targets, "@TARGET@", kind.target))
			before := ""
			if kind.name == "container" {
				docker(t, "run", "--detach", "--name", "sweep-test-team", "--network", "proyecto2_default", "--network-alias", "api", "--cpus", "1", "--memory", "200m", "sweep/fastapi:dev")
				t.Cleanup(func() { docker(t, "rm", "--force", "sweep-test-team") })
				before = docker(t, "inspect", "--format", "{{json .HostConfig}}", "sweep-test-team")
			}
			s := b.sweep()
			if small, big := s.Cells[0], s.Cells[1]; small.Outcome != "breached" || small.Cause.Label != "cpu_bound" || big.Outcome != "passed" || s.Minimal == nil || s.Minimal.CPUs != 1 {
				text, _ := json.MarshalIndent(s, "", " ")
				t.Errorf("got %s", text)
			} else {
				t.Logf("0.25 CPU failed from %d users on", small.FirstFail.Users)
			}
			if before != "" && docker(t, "inspect", "--format", "{{json .HostConfig}}", "sweep-test-team") != before {
				t.Error("the container is not as it was")
			}
		})
	}
}
