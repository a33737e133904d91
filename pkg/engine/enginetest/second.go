// Package enginetest starts a second Docker Engine on this machine for a test:
// one that is reached over TLS, or by a socket that isn't the default.
package enginetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/binary"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const answersWithin = 30 * time.Second

// guard is what runs the engine.
//
//go:embed guard.sh
var guard string

// Second is a Docker Engine that has nothing in common with the one of this
// machine but the kernel. Its containers have no network: a sweep needs none.
type Second struct {
	Socket       string // unix://
	TCP          string // tcp://, with TLS, to those alone who have a certificate
	Certificates string // a folder of ca.pem, cert.pem and key.pem, as DOCKER_CERT_PATH has it
}

// Start starts an engine, and waits until it answers. When the test has ended,
// also by a panic or a signal, the engine and its data go. It takes Linux and
// root, or a sudo that doesn't ask.
func Start(t testing.TB) *Second {
	t.Helper()
	dir, err := os.MkdirTemp("", "sweep-second-") //nolint:usetesting // a socket's path must be short, and guard outlives the test
	if err != nil {
		t.Fatal(err)
	}
	ours, its := addresses(t)
	t.Setenv("NO_PROXY", "198.18.0.0/15") // where they are
	s := &Second{
		Socket:       "unix://" + filepath.Join(dir, "docker.sock"),
		TCP:          "tcp://" + its.String() + ":2376",
		Certificates: filepath.Join(dir, "client"),
	}
	authority := NewAuthority(t)
	authority.Write(t, s.Certificates, x509.ExtKeyUsageClientAuth)
	server := filepath.Join(dir, "server")
	authority.Write(t, server, x509.ExtKeyUsageServerAuth, its)
	if err := os.WriteFile(filepath.Join(dir, "daemon.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(dir)
	link := "sw" + strings.TrimPrefix(name, "sweep-second-") // an interface's name has at most 15 characters
	run(t, dir, link, ours.String(), its.String(), "dockerd", "--config-file", filepath.Join(dir, "daemon.json"),
		"--host", s.Socket, "--host", s.TCP, "--tlsverify",
		"--tlscacert", filepath.Join(server, "ca.pem"), "--tlscert", filepath.Join(server, "cert.pem"), "--tlskey", filepath.Join(server, "key.pem"),
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "--pidfile", filepath.Join(dir, "pid"),
		"--containerd-namespace", name, "--containerd-plugins-namespace", name+"-plugins",
		"--storage-driver", "vfs", "--bridge", "none", "--iptables=false", "--ip6tables=false")
	await(t, dir, s.Socket)
	return s
}

// run runs guard with these arguments until the test ends.
func run(t testing.TB, args ...string) {
	t.Helper()
	args = append([]string{"sh", "-c", guard, "guard"}, args...)
	if os.Geteuid() != 0 {
		args = append([]string{"sudo", "-n"}, args...)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	alive, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		alive.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("stop the second engine: %v", err)
		}
	})
}

// await waits until the engine answers.
func await(t testing.TB, dir, socket string) {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket[len("unix://"):])
	}}
	defer transport.CloseIdleConnections()
	web := &http.Client{Transport: transport}
	for began := time.Now(); time.Since(began) < answersWithin; time.Sleep(50 * time.Millisecond) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://engine/_ping", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := web.Do(request); err == nil {
			answer.Body.Close()
			t.Logf("the second engine answers after %v", time.Since(began).Round(time.Millisecond))
			return
		}
	}
	log, _ := os.ReadFile(filepath.Join(dir, "log")) // without it there is no more to say
	t.Fatalf("the second engine doesn't answer within %v:\n%s", answersWithin, log)
}

// Load copies an image from this machine's engine to the second one.
func (s *Second) Load(t testing.TB, ref string) {
	t.Helper()
	save := exec.CommandContext(t.Context(), "docker", "save", ref)
	load := exec.CommandContext(t.Context(), "docker", "--host", s.Socket, "load")
	out, in := io.Pipe()
	save.Stdout, save.Stderr, load.Stdin = in, os.Stderr, out
	go func() { in.CloseWithError(save.Run()) }()
	if said, err := load.CombinedOutput(); err != nil {
		t.Fatalf("copy %s to the second engine: %v\n%s", ref, err, said)
	}
}

// Authority signs certificates.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority that nobody trusts yet.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{}
	a.cert, a.key = a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// Write writes the authority's own certificate as ca.pem to a folder, and a
// new one for usage, at these addresses, as cert.pem, with key.pem.
func (a *Authority) Write(t testing.TB, dir string, usage x509.ExtKeyUsage, at ...net.IP) {
	t.Helper()
	cert, key := a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "sweep's test"}, IPAddresses: at,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	})
	private, err := x509.MarshalECPrivateKey(key)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem":   {Type: "CERTIFICATE", Bytes: a.cert.Raw},
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert.Raw},
		"key.pem":  {Type: "EC PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// sign signs a certificate for a new key; the authority's own with that key.
func (a *Authority) sign(t testing.TB, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = template, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// addresses returns the two ends of a link. They are of the range for
// benchmarks (RFC 2544), and drawn, so that tests can run beside one another.
func addresses(t testing.TB) (ours, its net.IP) {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1<<15)) // of the 2^17 addresses each link takes four
	if err != nil {
		t.Fatal(err)
	}
	first := uint32(198<<24|18<<16) + 4*uint32(n.Uint64())
	at := func(host uint32) net.IP { return binary.BigEndian.AppendUint32(nil, first+host) }
	return at(1), at(2)
}
