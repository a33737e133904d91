package load

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
)

// Key is the secret that a relay and its agents share, drawn for each relay. Who
// has it can make an Ed25519 key pair of it, and so can both ends of a
// connection: each shows a certificate of its own for that pair, and takes none
// but that. So one secret gives TLS 1.3 that proves both ends, without an
// authority, names or the time of day.
type Key [ed25519.SeedSize]byte

// NewKey draws a key.
func NewKey() Key {
	var k Key
	_, _ = rand.Read(k[:]) // never fails
	return k
}

// ParseKey reads what [Key.String] writes.
func ParseKey(text string) (Key, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(Key{}) {
		return Key{}, fmt.Errorf("a key has %d hexadecimal digits", hex.EncodedLen(len(Key{})))
	}
	return Key(raw), nil
}

// String returns the key in hexadecimal. It is a secret.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

var errStranger = errors.New("the other end hasn't the run's key")

// config returns the configuration of either end of a connection between
// programs of one build: what they say to one another has no other version.
func (k Key) config(build string) (*tls.Config, error) {
	private := ed25519.NewKeyFromSeed(k[:])
	public := private.Public()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, fmt.Errorf("making a certificate of the run's key: %w", err)
	}
	known, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("making a certificate of the run's key: %w", err)
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{"sweep " + build},
		Certificates:           []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: private}},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // no authority is asked: the key itself is compared, below
		SessionTicketsDisabled: true,
		VerifyConnection: func(c tls.ConnectionState) error {
			if len(c.PeerCertificates) == 0 || !bytes.Equal(c.PeerCertificates[0].RawSubjectPublicKeyInfo, known) {
				return errStranger
			}
			return nil
		},
	}, nil
}
