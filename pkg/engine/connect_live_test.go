package engine

import (
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	dockercontext "github.com/docker/cli/cli/context"
	"github.com/docker/cli/cli/context/store"

	"sweep/pkg/engine/enginetest"
)

// withoutEngines makes the environment name no engine, and docker's
// configuration a new folder, which it returns.
func withoutEngines(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION", "XDG_RUNTIME_DIR"} {
		t.Setenv(name, "")
	}
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	return dir
}

// addContext does what `docker context create` does.
func addContext(t *testing.T, name, host string, files map[string][]byte) {
	t.Helper()
	s := contexts()
	err := s.CreateOrUpdate(store.Metadata{
		Name: name, Metadata: map[string]any{},
		Endpoints: map[string]any{dockerEndpoint: dockercontext.EndpointMetaBase{Host: host}},
	})
	if err == nil && files != nil {
		err = s.ResetTLSMaterial(name, &store.ContextTLSData{Endpoints: map[string]store.EndpointTLSData{dockerEndpoint: {Files: files}}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func readAll(t *testing.T, dir string, names ...string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = content
	}
	return files
}

// useContext does what `docker context use` does.
func useContext(t *testing.T, configDir, name string) {
	t.Helper()
	text, err := json.Marshal(map[string]string{"currentContext": name})
	if err == nil {
		err = os.WriteFile(filepath.Join(configDir, "config.json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sshHere puts an ssh on the path that runs here what it shall run elsewhere,
// and returns the path.
func sshHere(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift 2\nexec sh -c \"$*\"\n" // options -- host command
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir + string(os.PathListSeparator) + os.Getenv("PATH")
}

func TestConnectAsDockerDoes(t *testing.T) {
	second := enginetest.Start(t)
	materials := readAll(t, second.Certificates, "ca.pem", "cert.pem", "key.pem")
	wrong := filepath.Join(t.TempDir(), "wrong")
	enginetest.NewAuthority(t).Write(t, wrong, x509.ExtKeyUsageClientAuth)
	address := strings.TrimPrefix(second.TCP, "tcp://")
	socket := strings.TrimPrefix(second.Socket, "unix://")

	for _, test := range []struct {
		name     string
		env      map[string]string
		flag     string
		current  string // of docker's config.json
		endpoint string // what is connected to
		err      string // or why not
	}{
		{name: "its socket", env: map[string]string{"DOCKER_HOST": second.Socket}, endpoint: second.Socket + " (DOCKER_HOST)"},
		{name: "TLS", env: map[string]string{"DOCKER_HOST": second.TCP, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": second.Certificates}, endpoint: second.TCP + " (DOCKER_HOST)"},
		{name: "TLS, unverified", env: map[string]string{"DOCKER_HOST": address, "DOCKER_TLS": "1", "DOCKER_CERT_PATH": second.Certificates}, endpoint: second.TCP + " (DOCKER_HOST)"},
		{name: "ssh", env: map[string]string{"DOCKER_HOST": "ssh://me@elsewhere" + socket, "PATH": sshHere(t)}, endpoint: "ssh://elsewhere" + socket + " (DOCKER_HOST)"},
		{name: "a context by flag", flag: "secure", endpoint: second.TCP + " (context secure)"},
		{name: "the flag before DOCKER_HOST", flag: "secure", env: map[string]string{"DOCKER_HOST": "unix:///nonexistent"}, endpoint: second.TCP + " (context secure)"},
		{name: "a context by DOCKER_CONTEXT", env: map[string]string{"DOCKER_CONTEXT": "secure"}, current: "unknown", endpoint: second.TCP + " (context secure)"},
		{name: "the current context", current: "socket", endpoint: second.Socket + " (context socket)"},
		{name: "DOCKER_HOST before the current context", current: "unknown", env: map[string]string{"DOCKER_HOST": second.Socket}, endpoint: second.Socket + " (DOCKER_HOST)"},

		{name: "another authority", env: map[string]string{"DOCKER_HOST": second.TCP, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": wrong}, err: "its certificate isn't of the authority that is trusted; compare ca.pem (" + wrong},
		{name: "a context with another authority", flag: "wrong", err: "compare ca.pem (context wrong)"},
		{name: "no certificate", flag: "anonymous", err: "it doesn't take our certificate"},
		{name: "no TLS", env: map[string]string{"DOCKER_HOST": "tcp://me:secret@" + address}, err: "it speaks TLS; set DOCKER_TLS_VERIFY=1"},
		{name: "no file", env: map[string]string{"DOCKER_HOST": second.TCP, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/nonexistent"}, err: "check DOCKER_CERT_PATH"},
		{name: "no login", env: map[string]string{"DOCKER_HOST": "ssh://me@127.0.0.1:1"}, err: "try `ssh` by hand"},
		{name: "nobody there", env: map[string]string{"DOCKER_HOST": "tcp://me:secret@127.0.0.1:1"}, err: "no Docker Engine answers at tcp://127.0.0.1:1 (DOCKER_HOST); start it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := withoutEngines(t)
			addContext(t, "socket", second.Socket, nil)
			addContext(t, "secure", second.TCP, materials)
			addContext(t, "wrong", second.TCP, readAll(t, wrong, "ca.pem", "cert.pem", "key.pem"))
			addContext(t, "anonymous", second.TCP, map[string][]byte{"ca.pem": materials["ca.pem"]})
			if test.current != "" {
				useContext(t, dir, test.current)
			}
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			e, err := Connect(t.Context(), test.flag)
			wantError(t, err, test.err)
			if err != nil {
				t.Log(err)
				if strings.Contains(err.Error(), "secret") {
					t.Error("the error tells the password")
				}
				return
			}
			defer e.Close()
			if e.Endpoint() != test.endpoint {
				t.Errorf("connected to %s, want %s", e.Endpoint(), test.endpoint)
			}
			if e.info.DockerRootDir != filepath.Join(filepath.Dir(socket), "data") {
				t.Errorf("the engine's data is in %s, so it isn't the second", e.info.DockerRootDir)
			}
			if e.ahead != 0 {
				t.Errorf("on this machine the engine's clock is ahead by %v", e.ahead)
			}
		})
	}
}
