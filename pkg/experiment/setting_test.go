package experiment_test

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sweep/pkg/experiment"
)

// withEnv returns 1 CPU / 200M with these variables: "A", "1", "B", "2".
func withEnv(image string, pairs ...string) experiment.Limits {
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return experiment.Limits{CPU: 1e9, Memory: 200 * experiment.MiB, Env: experiment.VariablesOf(values), Image: image}
}

func TestSettingsAreNamed(t *testing.T) {
	for _, c := range []struct {
		limits     experiment.Limits
		text, slug string
	}{
		{withEnv(""), "1 CPU / 200M", "1cpu-200M"},
		{withEnv("", "WORKERS", "2"), "1 CPU / 200M with WORKERS=2", "1cpu-200M-WORKERS=2"},
		{withEnv("", "B", "2", "A", "x.1_y"), "1 CPU / 200M with A=x.1_y and B=2", "1cpu-200M-A=x.1_y-B=2"},
		{withEnv("", "A", "1-B=2"), "1 CPU / 200M with A=1-B=2", "1cpu-200M-A=1-B=2-bb46c2a7"},
		{withEnv("", "A", ""), `1 CPU / 200M with A=""`, "1cpu-200M-A="},
		{withEnv("", "A", "-Xmx1g -Xss1m"), `1 CPU / 200M with A="-Xmx1g -Xss1m"`, "1cpu-200M-A=-Xmx1g_-Xss1m-704eba5d"},
		{withEnv("x/y:slim", "A", "1", "C", "3"), "1 CPU / 200M with A=1, C=3 and image x/y:slim", "1cpu-200M-A=1-C=3-x_y_slim-0da16f7e"},
		{withEnv("", "A", strings.Repeat("z", 50)), `1 CPU / 200M with A="` + strings.Repeat("z", 39) + `…"`, "1cpu-200M-A=" + strings.Repeat("z", 38) + "-724b85ab"},
	} {
		if got := c.limits.String(); got != c.text {
			t.Errorf("reads %s, want %s", got, c.text)
		}
		if got := c.limits.Slug(); got != c.slug {
			t.Errorf("its file is called %s, want %s", got, c.slug)
		}
	}
}

// TestSettingsKeepApart checks that no two cells share a file, and that results
// read back as the cell that they are of.
func TestSettingsKeepApart(t *testing.T) {
	name := regexp.MustCompile(`^[0-9A-Za-z._=-]{1,80}$`)
	few := rapid.SampledFrom([]string{"", "1", "A", "-B=", "1-B=2", "B=2-1", "x", "日本"})
	draw := rapid.Custom(func(t *rapid.T) experiment.Limits {
		values := rapid.MapOfN(rapid.SampledFrom([]string{"A", "B", "C.x"}), rapid.OneOf(few, settable()), 0, 3).Draw(t, "env")
		return experiment.Limits{CPU: 1e9, Memory: experiment.MiB, Env: experiment.VariablesOf(values), Image: rapid.OneOf(few, settable()).Draw(t, "image")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := draw.Draw(t, "a"), draw.Draw(t, "b"), draw.Draw(t, "c")
		switch {
		case (a == b) != (a.Slug() == b.Slug()):
			t.Fatalf("%v and %v are %s and %s", a, b, a.Slug(), b.Slug())
		case !name.MatchString(a.Slug()):
			t.Fatalf("%q can't name a file", a.Slug())
		case (a == b) != (a.Compare(b) == 0), a.Compare(b) != -b.Compare(a), a.Compare(b) < 0 && b.Compare(c) < 0 && a.Compare(c) >= 0:
			t.Fatalf("%v, %v and %v have no order", a, b, c)
		}
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var back experiment.Limits
		if err := json.Unmarshal(text, &back); err != nil || back != a {
			t.Fatalf("%s reads as %v, %v", text, back, err)
		}
	})
}

func TestResultsWithoutSettingsStayAsTheyWere(t *testing.T) {
	text, err := json.Marshal(experiment.Trial{Limits: withEnv(""), Replicate: 1})
	if want := `{"limits":{"cpus":1,"memory":209715200},"replicate":1}`; err != nil || string(text) != want {
		t.Errorf("wrote %s, %v, want %s", text, err, want)
	}
	text, err = json.Marshal(withEnv("x", "A", "1"))
	if want := `{"cpus":1,"memory":209715200,"env":{"A":"1"},"image":"x"}`; err != nil || string(text) != want {
		t.Errorf("wrote %s, %v, want %s", text, err, want)
	}
	var v experiment.Variables
	if err := json.Unmarshal([]byte(`{"A": 1}`), &v); err == nil {
		t.Errorf("read %s", v)
	}
}

func TestSettingsFollowTheLimits(t *testing.T) {
	got := withEnv("", "WORKERS", "${cpus}", "HEAP", "${memory_bytes}", "A", "${x}").Environment()
	if got["WORKERS"] != "1" || got["HEAP"] != "209715200" || got["A"] != "${x}" {
		t.Errorf("got %v", got)
	}
}

// TestSettingsOfAFile reads them as a matrix has them: every value of each axis
// in every cell, numbers in their order.
func TestSettingsOfAFile(t *testing.T) {
	e := parse(t, strings.Replace(minimal("request: {path: /}"), "{cpus: [1], memory: [200M]}", `{cpus: [1, 2], memory: [200M],
  env: {WORKERS: [10, "${cpus}", "${UNSET:-2}"], LOG: [on]}, exclude: [{cpus: 1, memory: 200M}, {cpus: 2, memory: 200M, env: {WORKERS: "${cpus}"}}]}`, 1))
	var got []string
	for _, l := range e.Matrix.Cells() {
		got = append(got, l.String())
	}
	if want := "2 CPU / 200M with LOG=on and WORKERS=2; 2 CPU / 200M with LOG=on and WORKERS=10"; strings.Join(got, "; ") != want {
		t.Errorf("the cells are %s", strings.Join(got, "; "))
	}
	if images := e.Images(); len(images) != 1 || images[0] != "x" {
		t.Errorf("the images are %v", images)
	}
	images := strings.NewReplacer("image: x, ", "", "{cpus: [1], memory: [200M]}", "{cpus: [1, 2], memory: [200M], image: [b, a]}").Replace(minimal("request: {path: /}"))
	if got := parse(t, images).Images(); len(got) != 2 || got[0] != "a" {
		t.Errorf("the images are %v", got)
	}
}

// People read an image's name as it is, and what can't be one in quotes.
func TestOddImagesAreQuoted(t *testing.T) {
	for image, want := range map[string]string{
		"registry.example.com:5000/team/api@sha256:0123": "image registry.example.com:5000/team/api@sha256:0123",
		"x\x1b[31m\n|":              `image "x\x1b[31m\n|"`,
		"\u202eabc":                 `image "\u202eabc"`,
		strings.Repeat("x", 10_000): "image " + strconv.Quote(strings.Repeat("x", 199)+"…"),
	} {
		if got := (experiment.Setting{Image: image}).String(); got != want {
			t.Errorf("%.40q: %s, want %s", image, got, want)
		}
	}
}
