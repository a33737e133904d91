package experiment_test

import (
	"testing"

	"sweep/pkg/experiment"
)

func TestRedactHidesWhatTheEnvironmentHeld(t *testing.T) {
	held := map[string]string{"TOKEN": "abc123", "PW": "s3cret", "LONG": "abc123456", "USERS": "100"}
	e, err := experiment.Parse("x.yaml", []byte(`version: 1
name: x
service: {image: i, port: 80, env: {DSN: "postgres://u:${PW}@db?workers=${cpus}", SHORT: "${USERS}"}}
request: {path: /, headers: {Authorization: "Bearer ${TOKEN}", X: "${LONG}"}}
matrix: {cpus: [1], memory: [100M]}
users: {target: 100, ramp: 1s}
`), func(name string) (string, bool) { v, ok := held[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"token=abc123 refused":       "token=${TOKEN} refused",
		"abc123456":                  "${LONG}",
		"password s3cret, 100 times": "password ${PW}, 100 times",
	} {
		if got := e.Redact(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
