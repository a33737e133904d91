package enginetest

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Who may use a [Registry].
const (
	User     = "ada"
	Password = "correct horse"
)

// Registry is a registry on a loopback port, which engines take without TLS, with
// a password.
type Registry struct{ Addr string }

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)

// StartRegistry starts Debian's docker-registry. When the test has ended, it goes.
func StartRegistry(t testing.TB) Registry {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(Password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	users, config := filepath.Join(dir, "users"), filepath.Join(dir, "config.yml")
	for path, text := range map[string]string{
		users: User + ":" + string(hash) + "\n",
		config: fmt.Sprintf(`version: 0.1
storage: {filesystem: {rootdirectory: %s}}
http: {addr: "127.0.0.1:0"}
auth: {htpasswd: {realm: test, path: %s}}
`, filepath.Join(dir, "images"), users),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := exec.CommandContext(context.WithoutCancel(t.Context()), "docker-registry", "serve", config)
	server.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	log, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatalf("this test needs docker-registry (`.ci/load-tools test` installs it): %v", err)
	}
	addr, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if found := listening.FindStringSubmatch(lines.Text()); found != nil {
				addr <- found[1]
			}
		}
	}()
	t.Cleanup(func() {
		_ = server.Process.Kill() // it may have ended by itself
		<-ended
		_ = server.Wait()
	})
	select {
	case a := <-addr:
		return Registry{Addr: a}
	case <-ended:
	case <-time.After(10 * time.Second):
	}
	t.Fatal("docker-registry doesn't listen")
	return Registry{}
}

// Auths returns a config.json of docker's that has this password for it.
func (r Registry) Auths(password string) string {
	return fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, r.Addr, base64.StdEncoding.EncodeToString([]byte(User+":"+password)))
}

// Login logs in as a user does, by docker's command and its configuration.
func (r Registry) Login(t testing.TB) {
	t.Helper()
	login := exec.CommandContext(t.Context(), "docker", "login", "--username", User, "--password-stdin", r.Addr)
	login.Stdin = strings.NewReader(Password)
	if out, err := login.CombinedOutput(); err != nil {
		t.Fatalf("docker login: %v\n%s", err, out)
	}
}
