package engine

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"

	"sweep/pkg/engine/enginetest"
)

// registryServer is a registry that a test pushes to.
type registryServer struct{ enginetest.Registry }

// dockerConfigured makes docker's configuration of text the one that counts.
func dockerConfigured(t *testing.T, text string) string {
	dir := folder(t, map[string]string{"config.json": text})
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("DOCKER_AUTH_CONFIG", "")
	return filepath.Join(dir, "config.json")
}

// publish builds an image of some megabytes, pushes it as a user does, and
// removes it from the engine.
func (r registryServer) publish(t *testing.T, l *lab) (ref, printed string) {
	t.Helper()
	dockerConfigured(t, "{}")
	r.Login(t)
	dir := folder(t, map[string]string{"Dockerfile": "FROM scratch\n" + buildLabel + "COPY data /\n"})
	data := make([]byte, 5<<20)
	rand.Read(data)
	if err := os.WriteFile(filepath.Join(dir, "data"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_BUILDKIT", "0")
	const local = "sweep-test/published:dev"
	if _, err := l.engine.Build(t.Context(), BuildSpec{Context: dir, Tag: local}, func(string) {}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeLayers(t, l) })
	ref = r.Addr + "/team/published:v1"
	out, err := exec.Command("make", "--no-print-directory", "-C", "../..", "publish", "FROM="+local, "IMAGE="+ref).CombinedOutput()
	if err != nil {
		t.Fatalf("make publish: %v\n%s", err, out)
	}
	t.Logf("make publish:\n%s", out)
	removeLayers(t, l)
	return ref, string(out)
}

func (l *lab) forget(t *testing.T, ref string) {
	t.Helper()
	if _, err := l.engine.docker.ImageRemove(context.Background(), ref, image.RemoveOptions{}); err != nil {
		t.Error(err)
	}
}

func TestPull(t *testing.T) {
	l, _ := live(t)
	r := registryServer{enginetest.StartRegistry(t)}
	ref, printed := r.publish(t, l)
	pull := func(t *testing.T) {
		t.Helper()
		var told []string
		got, err := l.engine.Pull(t.Context(), ref, telling(t, &told))
		if err != nil {
			t.Fatal(err)
		}
		defer l.forget(t, ref)
		if got.Ref != ref || got.ID == "" || len(got.Digests) != 1 || !strings.Contains(printed, got.Digests[0]) {
			t.Errorf("pulled %+v", got)
		}
		if last := told[len(told)-1]; last != "pulling "+ref+": 1 of 1 layers, 5 of 5 MB" {
			t.Errorf("in the end progress was told %q", last)
		}
	}
	// An executable that fakes a credential helper, in PATH.
	helper := func(t *testing.T, script string) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "docker-credential-test"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	}
	answers := fmt.Sprintf(`read server; [ "$1 $server" = "get %s" ] && echo '{"ServerURL": "%[1]s", "Username": "%s", "Secret": "%s"}'`, r.Addr, enginetest.User, enginetest.Password)

	t.Run("config file", func(t *testing.T) {
		dockerConfigured(t, r.Auths(enginetest.Password))
		pull(t)
	})
	t.Run("helper of the registry", func(t *testing.T) {
		dockerConfigured(t, fmt.Sprintf(`{"credHelpers": {%q: "test"}}`, r.Addr))
		helper(t, answers)
		pull(t)
	})
	t.Run("helper of all", func(t *testing.T) {
		dockerConfigured(t, `{"credsStore": "test"}`)
		helper(t, answers)
		pull(t)
	})
	t.Run("environment", func(t *testing.T) {
		dockerConfigured(t, r.Auths("the wrong one"))
		t.Setenv("DOCKER_AUTH_CONFIG", r.Auths(enginetest.Password))
		pull(t)
	})
	refused := func(t *testing.T, want ...string) {
		t.Helper()
		_, err := l.engine.Pull(t.Context(), ref, func(string) {})
		t.Log(err)
		for _, w := range append(want, "pull "+ref+": the registry "+r.Addr+" refuses it: ", "`docker login "+r.Addr+"`") {
			wantError(t, err, w)
		}
	}
	t.Run("no credentials", func(t *testing.T) {
		refused(t, "there are no credentials for it in "+dockerConfigured(t, "{}"))
	})
	t.Run("wrong password", func(t *testing.T) {
		refused(t, "it doesn't take the credentials of ada in "+dockerConfigured(t, r.Auths("wrong")))
	})
	t.Run("wrong password in the environment", func(t *testing.T) {
		dockerConfigured(t, "{}")
		t.Setenv("DOCKER_AUTH_CONFIG", r.Auths("wrong"))
		refused(t, "it doesn't take the credentials of ada in DOCKER_AUTH_CONFIG")
	})
	t.Run("helper fails", func(t *testing.T) {
		dockerConfigured(t, `{"credsStore": "test"}`)
		helper(t, "echo the vault is locked; exit 1")
		refused(t, "credentials for it can't be read from docker-credential-test", "the vault is locked")
	})
	t.Run("no helper", func(t *testing.T) {
		dockerConfigured(t, `{"credsStore": "nowhere"}`)
		refused(t, "credentials for it can't be read from docker-credential-nowhere")
	})
	t.Run("unreadable configuration", func(t *testing.T) {
		refused(t, "credentials for it can't be read from "+dockerConfigured(t, "{"))
	})
	t.Run("unknown tag", func(t *testing.T) {
		dockerConfigured(t, r.Auths(enginetest.Password))
		_, err := l.engine.Pull(t.Context(), r.Addr+"/team/published:v2", func(string) {})
		wantError(t, err, "the registry "+r.Addr+" doesn't have it: ")
	})
	t.Run("what a build is made of", func(t *testing.T) {
		dockerConfigured(t, r.Auths(enginetest.Password))
		builders(t, func(t *testing.T, l *lab) {
			dir := folder(t, map[string]string{"Dockerfile": "ARG BASE\nFROM $BASE\n" + buildLabel})
			spec := BuildSpec{Context: dir, Args: map[string]string{"BASE": ref}}
			if _, err := l.engine.Build(t.Context(), spec, func(line string) { t.Log(line) }); err != nil {
				t.Error(err)
			}
			removeLayers(t, l)
			dockerConfigured(t, "{}")
			_, err := l.engine.Build(t.Context(), spec, func(string) {})
			t.Log(err)
			wantError(t, err, "no basic auth credentials")
		})
	})
	t.Run("ensure", func(t *testing.T) {
		dockerConfigured(t, r.Auths(enginetest.Password))
		for i, want := range []bool{true, false} { // whether it pulls
			var told []string
			got, err := l.engine.Ensure(t.Context(), ref, telling(t, &told))
			if err != nil || got.Ref != ref || len(got.Digests) != 1 || (len(told) > 0) != want {
				t.Errorf("%d: ensured %+v, %v; progress was told %q", i, got, err, told)
			}
		}
		defer l.forget(t, ref)
		_, err := l.engine.Ensure(t.Context(), r.Addr+"/team/published:v2", func(string) {})
		t.Log(err)
		wantError(t, err, "the engine has no image "+r.Addr+"/team/published:v2, and can't pull it: the registry ")
		wantError(t, err, "or did you mean "+ref+"?")
	})
}

func TestPullUnreachable(t *testing.T) {
	l, _ := live(t)
	dockerConfigured(t, "{}")
	for ref, want := range map[string]string{
		"127.0.0.1:9/x:y":                "can't pull it: from the registry 127.0.0.1:9: ",
		"Sweep:dev":                      "invalid reference format",
		"127.0.0.1:9/" + l.image.Ref:     "or did you mean " + l.image.Ref + "?",
		"127.0.0.1:9/" + l.image.Ref[1:]: "or did you mean " + l.image.Ref + "?",
	} {
		_, err := l.engine.Ensure(t.Context(), ref, func(string) {})
		t.Log(err)
		wantError(t, err, want)
	}
}
