// Package enginetest starts more Docker Engines on this machine for a test: one
// that is reached over TLS, or by a socket that isn't the default, or several
// that are a Swarm.
package enginetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

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
	e := prepare(t, 1)
	t.Setenv("NO_PROXY", "198.18.0.0/15") // where they are
	s := &Second{
		Socket:       e.socket(0),
		TCP:          "tcp://" + e.addresses[0].String() + ":2376",
		Certificates: filepath.Join(e.dir, "client"),
	}
	authority := NewAuthority(t)
	authority.Write(t, s.Certificates, x509.ExtKeyUsageClientAuth)
	server := filepath.Join(e.dir, "server")
	authority.Write(t, server, x509.ExtKeyUsageServerAuth, e.addresses[0])
	e.start(t, map[string]any{
		"hosts": []string{s.Socket, s.TCP}, "tlsverify": true,
		"tlscacert": filepath.Join(server, "ca.pem"), "tlscert": filepath.Join(server, "cert.pem"), "tlskey": filepath.Join(server, "key.pem"),
	})
	return s
}

// Load copies an image from this machine's engine to the second one.
func (s *Second) Load(t testing.TB, ref string) {
	t.Helper()
	load(t, s.Socket, ref)
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
