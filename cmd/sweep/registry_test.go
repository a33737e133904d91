package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sweep/pkg/engine/enginetest"
)

// The team publishes its image, and a machine that hasn't it sweeps it.
func TestAnImageIsPublishedPulledAndSwept(t *testing.T) {
	registry := enginetest.StartRegistry(t)
	name := registry.Addr + "/team/predictor:v1"
	b := newBench(t, "IMAGE="+name)
	configured := func(text string) {
		t.Helper()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("DOCKER_CONFIG", dir)
	}

	configured("{}")
	registry.Login(t)
	publish := exec.Command("make", "--no-print-directory", "-C", "../..", "publish", "FROM=sweep/predictor:dev", "IMAGE="+name)
	printed, err := publish.CombinedOutput()
	if err != nil {
		t.Fatalf("make publish: %v\n%s", err, printed)
	}
	docker(t, "image", "rm", name)

	configured(registry.Auths("wrong"))
	o := b.run(nil, "run", "small.yaml")
	if o.code != 1 || !strings.Contains(o.err, "`docker login "+registry.Addr+"`") || strings.Contains(o.err, "wrong") {
		t.Errorf("with the wrong password: exit %d: %s", o.code, o.err)
	}

	configured(registry.Auths(enginetest.Password))
	t.Cleanup(func() { docker(t, "image", "rm", name) })
	o = b.run(nil, "run", "small.yaml")
	if o.code != 0 || !strings.Contains(o.out, "passed") || !strings.Contains(o.err, "pulling "+name) {
		t.Errorf("with the right one: exit %d\n%s%s", o.code, o.out, o.err)
	}
	digest := printed[strings.LastIndex(string(printed), "sha256:"):]
	if manifest := b.files()[filepath.Join(b.runDir(), "manifest.json")]; !strings.Contains(manifest, strings.TrimSpace(string(digest))) {
		t.Errorf("the manifest doesn't have the digest %s:\n%s", digest, manifest)
	}
}
