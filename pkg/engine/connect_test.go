package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestChosen(t *testing.T) {
	for _, test := range []struct {
		name, flag, host, context, current string
		want, by                           string
	}{
		{name: "nothing", want: "default", by: "docker's config.json"},
		{name: "the current one", current: "colima", want: "colima", by: "docker's config.json"},
		{name: "DOCKER_CONTEXT", context: "staging", current: "colima", want: "staging", by: "DOCKER_CONTEXT"},
		{name: "DOCKER_HOST", host: "tcp://a", context: "staging", current: "colima", want: "default"},
		{name: "the flag", flag: "lab", host: "tcp://a", context: "staging", current: "colima", want: "lab", by: "--context"},
	} {
		getenv := func(name string) string {
			return map[string]string{"DOCKER_HOST": test.host, "DOCKER_CONTEXT": test.context}[name]
		}
		name, by, err := chosen(test.flag, getenv, func() (string, error) { return test.current, nil })
		if name != test.want || by != test.by || err != nil {
			t.Errorf("%s: %q by %q, %v; want %q by %q", test.name, name, by, err, test.want, test.by)
		}
	}
	broken := errors.New("broken")
	if _, _, err := chosen("", func(string) string { return "" }, func() (string, error) { return "", broken }); !errors.Is(err, broken) {
		t.Errorf("of a configuration that can't be read the error is %v", err)
	}
}

func TestNormal(t *testing.T) {
	for host, want := range map[string]string{
		"unix:///run/x.sock":             "unix:///run/x.sock",
		"unix://":                        "unix:///var/run/docker.sock",
		"tcp://build":                    "tcp://build:2375",
		"build:2376":                     "tcp://build:2376",
		"tcp://:2376":                    "tcp://localhost:2376",
		"tcp://[::1]:2376":               "tcp://[::1]:2376",
		"tcp://me:secret@build:2376/api": "tcp://build:2376/api",
		"ssh://me@build:2222/run/x.sock": "ssh://me@build:2222/run/x.sock",
		"npipe:////./pipe/docker_engine": "npipe:////./pipe/docker_engine",
	} {
		if got, err := normal(host); got != want || err != nil {
			t.Errorf("normal(%q) = %q, %v; want %q", host, got, err, want)
		}
	}
	for host, text := range map[string]string{
		"https://build":         `"https://" is not supported; use unix://, tcp://, ssh:// or npipe://`,
		"fd://":                 "not supported",
		"tcp://me:secret@bu ld": "not an address",
		"ssh://me:secret@[":     "not an address",
	} {
		_, err := normal(host)
		wantError(t, err, text)
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestContextUnknown(t *testing.T) {
	withoutEngines(t)
	addContext(t, "colima", "unix:///nonexistent", nil)
	_, err := Connect(t.Context(), "colma")
	wantError(t, err, `docker has no context "colma" (--context); did you mean colima? It has colima, default`)
	t.Setenv("DOCKER_CONTEXT", "lab")
	_, err = Connect(t.Context(), "")
	wantError(t, err, `docker has no context "lab" (DOCKER_CONTEXT)`)
	_, err = Connect(t.Context(), "colima")
	wantError(t, err, "no Docker Engine answers at unix:///nonexistent (context colima); start it, or name another")
}

func TestConfigBroken(t *testing.T) {
	dir := withoutEngines(t)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Connect(t.Context(), "")
	wantError(t, err, "read which context docker uses")
	wantError(t, err, filepath.Join(dir, "config.json"))
}

func TestDefaultSocket(t *testing.T) {
	if _, err := os.Stat("/var/run/docker.sock"); err == nil {
		if p := defaultSocket(t.TempDir()); p.String() != "unix:///var/run/docker.sock (the default)" {
			t.Errorf("the default is %s", p)
		}
	}
}

func TestAhead(t *testing.T) {
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	read := func(trip, engine time.Duration) reading {
		return reading{sent: noon, trip: trip, engine: noon.Add(engine)}
	}
	for _, test := range []struct {
		name     string
		readings []reading
		want     time.Duration
	}{
		{name: "one machine", readings: []reading{read(20*time.Millisecond, time.Millisecond)}},
		{name: "one machine, at the very end", readings: []reading{read(20*time.Millisecond, 20*time.Millisecond)}},
		{name: "it can't be told", readings: []reading{read(2*time.Second, 1900*time.Millisecond)}},
		{name: "ahead", readings: []reading{read(20*time.Millisecond, time.Minute)}, want: time.Minute - 10*time.Millisecond},
		{name: "behind", readings: []reading{read(20*time.Millisecond, -time.Minute)}, want: -time.Minute - 10*time.Millisecond},
		{name: "the shortest trip counts", readings: []reading{
			read(400*time.Millisecond, time.Second), read(100*time.Millisecond, 950*time.Millisecond), read(300*time.Millisecond, 2*time.Second),
		}, want: 900 * time.Millisecond},
	} {
		if got := ahead(test.readings); got != test.want {
			t.Errorf("%s: ahead by %v, want %v", test.name, got, test.want)
		}
	}
	e := &Engine{ahead: time.Minute}
	if at, err := e.ours("2026-11-24T12:01:00.5Z"); !at.Equal(noon.Add(500*time.Millisecond)) || err != nil {
		t.Errorf("by our clock it was %v, %v", at, err)
	}
	if _, err := e.ours("yesterday"); err == nil {
		t.Error("a time that is none was read")
	}
}
