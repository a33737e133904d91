package experiment_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sweep/pkg/experiment"
)

// minimal is a file that asks as little as it can, and more if there is any.
func minimal(more ...string) string {
	return strings.Join(append([]string{`version: 1
name: x
service: {image: x, port: 80}
matrix: {cpus: [1], memory: [200M]}
users: {target: 10, ramp: 1m}`}, more...), "\n")
}

func TestDefaults(t *testing.T) {
	second := experiment.Duration(time.Second)
	want := &experiment.Experiment{
		Version:   1,
		Name:      "x",
		Service:   experiment.Service{Image: "x", Port: 80, Ready: experiment.Ready{Within: 60 * second}},
		Request:   experiment.Request{Method: "GET", Path: "/", Connections: "keep-alive", Protocol: "http", Timeout: 10 * second, Expect: experiment.Expect{Status: []int{200}}},
		Matrix:    experiment.Matrix{CPUs: []experiment.CPUs{1e9}, Memory: []experiment.Bytes{200 * experiment.MiB}},
		Users:     experiment.Users{Target: 10, RampOver: 60 * second, Hold: 30 * second, Settle: 10 * second, Wait: experiment.Wait{Constant: &second}, From: "service"},
		Objective: experiment.DefaultObjective(),
		Search:    experiment.Search{Strategy: "exhaustive", Preset: "standard", Precision: 0.05, Repeats: 1, Seed: 1},
		Price:     experiment.Price{CPUHour: 0.04048, GiBHour: 0.004445},
	}
	for _, objective := range []string{"", "objective: {}"} {
		if diff := cmp.Diff(want, parse(t, minimal("request: {path: /}", objective)), cmp.AllowUnexported(experiment.Placement{}), cmpopts.IgnoreUnexported(experiment.Experiment{})); diff != "" {
			t.Error(diff)
		}
	}
	if got := parse(t, minimal("request: {path: /, body: x}")).Request.Method; got != "POST" {
		t.Errorf("with a body the method is %s", got)
	}
	if got := parse(t, minimal("request: {path: /}", "objective: {p50: 1s}")).Objective.String(); got != "p50 <= 1s" {
		t.Errorf("the objective is %s", got)
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct{ written, want string }{
		{"plain $5 {x} $", "plain $5 {x} $"},
		{"a ${TOKEN} b${TOKEN}", "a s3cret bs3cret"},
		{"${EMPTY}", ""},
		{"${EMPTY:-default}", "default"},
		{"${UNSET:-}", ""},
		{"${UNSET:-a:-b $x}", "a:-b $x"},
		{"$${TOKEN}", "${TOKEN}"},
		{"$$${TOKEN}", "$${TOKEN}"},
		{"$$ $TOKEN", "$$ $TOKEN"},
	} {
		e := parse(t, minimal(fmt.Sprintf("request: {path: /, body: %q}", c.written)))
		if want := (experiment.Value{Written: c.written, Resolved: c.want}); e.Request.Body != want {
			t.Errorf("%q is %q", c.written, e.Request.Body)
		}
	}
}

func TestValueUnder(t *testing.T) {
	src := minimal(`request: {path: /}`)
	src = strings.Replace(src, "port: 80", `port: 80, env: {A: "${cpus} ${memory_bytes} ${TOKEN}"}`, 1)
	limits := experiment.Limits{CPU: 500_000_000, Memory: 6 * experiment.MiB}
	if got := parse(t, src).Service.Env["A"].Under(limits); got != "0.5 6291456 s3cret" {
		t.Errorf("got %q", got)
	}
}

// TestRecorded reads a file as it lies among results, where the environment of
// then is not known.
func TestRecorded(t *testing.T) {
	e := parse(t, minimal("request: {path: '/${USERS}', body: 'a ${TOKEN}'}"))
	text, err := e.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "s3cret") {
		t.Errorf("a secret is recorded:\n%s", text)
	}
	back, err := experiment.Parse("x.yaml", text, recorded)
	if err != nil {
		t.Fatal(err)
	}
	if back.Request.Path != "/5000" || back.Request.Body.Written != "a ${TOKEN}" || back.Digest() != e.Digest() {
		t.Errorf("read back as %+v", back.Request)
	}
}

func TestDigest(t *testing.T) {
	base := minimal("request: {path: /, timeout: 5s}")
	digest := parse(t, base).Digest()
	for _, c := range []struct {
		from, to string
		same     bool
	}{
		{"name: x", "name: y", true},
		{"cpus: [1]", "cpus: [1, 2]", true},
		{"timeout: 5s", "timeout: 5000ms, method: GET", true},
		{"version: 1", "version: 1\nobjective: {p99: 2s}\nprice: {cpu_hour: 1}\nsearch: {seed: 2}\ngenerator: native", true},
		{"port: 80", "port: 80, env: {}", true},
		{"version: 1", "version: 1\nplacement: shared", true},
		{"version: 1", "version: 1\nplacement: separate", false},
		{"version: 1", "version: 1\nplacement: {swarm: {}}", false},
		{"port: 80", "port: 81", false},
		{"port: 80", "port: 80, env: {A: b}", false},
		{"timeout: 5s", "timeout: 6s", false},
		{"timeout: 5s", "timeout: 5s, body: a", false},
		{"timeout: 5s", "timeout: 5s, connections: keep-alive, protocol: http, insecure: false", true},
		{"timeout: 5s", "timeout: 5s, connections: fresh", false},
		{"timeout: 5s", "timeout: 5s, protocol: h2c", false},
		{"timeout: 5s", "timeout: 5s, method: GET, feed: {file: a.jsonl}", false},
		{"target: 10", "rate: 10/s", false},
		{"ramp: 1m", "stairs: {step: 5}", false},
		{"target: 10", "target: 11", false},
		{"ramp: 1m", "ramp: 1m, wait: {pacing: 1s}", false},
	} {
		if got := parse(t, strings.Replace(base, c.from, c.to, 1)).Digest(); (got == digest) != c.same {
			t.Errorf("%s: the digest is %s, of the base %s", c.to, got, digest)
		}
	}
}

func TestParseIsBounded(t *testing.T) {
	for src, want := range map[string]string{
		strings.Repeat("#", 8<<20+1):                     "x:1:1: is larger than 8 MiB",
		strings.Repeat("a: b\n", 30_000):                 "x:26667:4: has too much in it: more than 80000 keys, values and signs",
		strings.Repeat("[", 60_000):                      "x:1:33: is nested too deeply",
		strings.Repeat("{a: ", 15_000):                   "x:1:129: is nested too deeply",
		strings.Repeat("- ", 30_000):                     "x:1:65: is nested too deeply",
		strings.Repeat("? ", 30_000):                     "x:1:65: is nested too deeply",
		"version: 1\nname: " + strings.Repeat("&a ", 50): "x:2:103: is nested too deeply",
		"version: \xff\n":                                "x:1:1: is not text in UTF-8",
	} {
		if _, err := experiment.Parse("x", []byte(src), environment); err == nil || err.Error() != want {
			t.Errorf("%.20q: %v", src, err)
		}
	}
}

func TestUnitTexts(t *testing.T) {
	for _, c := range []struct {
		got  fmt.Stringer
		want string
	}{
		{experiment.CPUs(500_000_000), "0.5"},
		{experiment.CPUs(2_000_000_000), "2"},
		{experiment.CPUs(10_000_000_000), "10"},
		{experiment.CPUs(1_000_000_001), "1.000000001"},
		{200 * experiment.MiB, "200M"},
		{1536 * experiment.MiB, "1536M"},
		{2 * experiment.GiB, "2G"},
		{experiment.Bytes(1000), "1000"},
		{experiment.Duration(0), "0s"},
		{experiment.Duration(2 * time.Minute), "2m"},
		{experiment.Duration(time.Hour), "1h"},
		{experiment.Duration(time.Hour + 10*time.Minute), "1h10m"},
		{experiment.Duration(10 * time.Hour), "10h"},
		{experiment.Duration(time.Hour + time.Second), "1h0m1s"},
		{experiment.Share(0.01), "1%"},
		{experiment.Share(0.005), "0.5%"},
		{experiment.Share(1), "100%"},
		{experiment.Limits{CPU: 2e9, Memory: 500 * experiment.MiB}, "2 CPU / 500M"},
	} {
		if got := c.got.String(); got != c.want {
			t.Errorf("%#v is %s, not %s", c.got, got, c.want)
		}
	}
	trial := experiment.Trial{Limits: experiment.Limits{CPU: 5e8, Memory: experiment.GiB}, Replicate: 2}
	if got := trial.Slug(); got != "0.5cpu-1G-2" {
		t.Errorf("the slug is %s", got)
	}
}

func TestParseUnits(t *testing.T) {
	for text, want := range map[string]experiment.CPUs{"0.7": 7e8, "1.": 1e9, ".5": 5e8, "0.01": 1e7, "02": 2e9} {
		if got, err := experiment.ParseCPUs(text); got != want || err != nil {
			t.Errorf("%q CPUs are %d, %v", text, got, err)
		}
	}
	for text, want := range map[string]experiment.Bytes{"200M": 200 << 20, "200MB": 200 << 20, "200MiB": 200 << 20, "1.5g": 3 << 29, "6291456": 6 << 20} {
		if got, err := experiment.ParseBytes(text); got != want || err != nil {
			t.Errorf("%q of memory are %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ".", "-1", "1e3", "0x1", "1.2.3", "0.0000000001", "0.009", "99999999999999999999", " 1", "1_0"} {
		if got, err := experiment.ParseCPUs(text); err == nil {
			t.Errorf("%q CPUs are %v", text, got)
		}
	}
	for _, text := range []string{"", "M", "0", "-1M", "200X", "200MX", "9999999999P", "1e400", "NaN"} {
		if got, err := experiment.ParseBytes(text); err == nil {
			t.Errorf("%q of memory are %v", text, got)
		}
	}
	for _, text := range []string{"", "500", "/s", "-1/s", "+1/s", "0.5/s", "30/m", "1 /s", "1e3/s", "9999999999/s"} {
		var r experiment.Rate
		if err := r.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is the rate %v", text, r)
		}
	}
	for _, text := range []string{"", "%", "-1%", "101%", "1.01", "NaN", "Inf%", "x"} {
		var s experiment.Share
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is the share %v", text, s)
		}
	}
}

func TestRamp(t *testing.T) {
	second := experiment.Duration(time.Second)
	ramp := experiment.Ramp{{Users: 10, Over: 10 * second, Hold: 5 * second}, {Users: 20}, {Users: 20, Hold: second}, {Users: 0, Over: 4 * second}}
	for _, c := range []struct {
		at    time.Duration
		users int
		done  bool
	}{
		{-1, 0, false},
		{0, 0, false},
		{999 * time.Millisecond, 0, false},
		{time.Second, 1, false},
		{10*time.Second - 1, 9, false},
		{10 * time.Second, 10, false},
		{15*time.Second - 1, 10, false},
		{15 * time.Second, 20, false}, // a jump
		{16 * time.Second, 20, false},
		{17 * time.Second, 15, false},
		{20*time.Second - 1, 1, false},
		{20 * time.Second, 0, true},
		{math.MaxInt64, 0, true},
	} {
		if users, done := ramp.Users(c.at); users != c.users || done != c.done {
			t.Errorf("at %v: %d users, done %v; want %d, %v", c.at, users, done, c.users, c.done)
		}
	}
	if ramp.Length() != 20*time.Second || ramp.Peak() != 20 || ramp.Rate() != 1 {
		t.Errorf("length %v, peak %d, rate %v", ramp.Length(), ramp.Peak(), ramp.Rate())
	}
	if users, done := (experiment.Ramp{}).Users(0); users != 0 || !done {
		t.Error("a ramp without stages has users or never ends")
	}
	changes := 0
	for range ramp.Changes {
		if changes++; changes == 3 {
			break
		}
	}
	if changes != 3 {
		t.Errorf("%d changes after the break", changes)
	}
}

func TestUsersRamp(t *testing.T) {
	second := experiment.Duration(time.Second)
	for _, c := range []struct {
		users string
		want  experiment.Ramp
	}{
		{"target: 10, ramp: 1m, hold: 2s", experiment.Ramp{{Users: 10, Over: 60 * second, Hold: 2 * second}}},
		{"target: 5, stages: [{users: 5, over: 3s}]", experiment.Ramp{{Users: 5, Over: 3 * second}}},
		{"target: 25, stairs: {step: 10}", experiment.Ramp{
			{Users: 10, Over: 5 * second, Hold: 30 * second},
			{Users: 20, Over: 5 * second, Hold: 30 * second},
			{Users: 25, Over: 5 * second, Hold: 30 * second},
		}},
		{"target: 20, stairs: {step: 5, from: 10, hold: 1s, over: 0s}", experiment.Ramp{
			{Users: 10, Hold: second}, {Users: 15, Hold: second}, {Users: 20, Hold: second},
		}},
		{"target: 10, stairs: {step: 10, over: 1s, hold: 1s}", experiment.Ramp{{Users: 10, Over: second, Hold: second}}},
		{"rate: 10/s, ramp: 1m, hold: 2s", experiment.Ramp{{Users: 10, Over: 60 * second, Hold: 2 * second}}},
		{"rate: 10/s, stairs: {step: 6, over: 1s, hold: 1s}", experiment.Ramp{
			{Users: 6, Over: second, Hold: second}, {Users: 10, Over: second, Hold: second},
		}},
		{"rate: 10/s, stages: [{rate: 10/s, over: 1s}, {rate: 0/s, hold: 1s}]", experiment.Ramp{{Users: 10, Over: second}, {Hold: second}}},
	} {
		u := parse(t, strings.Replace(minimal("request: {path: /}"), "target: 10, ramp: 1m", c.users, 1)).Users
		if diff := cmp.Diff(c.want, u.Ramp(), cmpopts.IgnoreFields(experiment.Stage{}, "Rate")); diff != "" {
			t.Errorf("%s: %s", c.users, diff)
		}
		if open := strings.HasPrefix(c.users, "rate"); u.Open() != open || open != (u.Unit() == "requests/s") || u.Target < 5 {
			t.Errorf("%s: open %v, target %d %s", c.users, u.Open(), u.Target, u.Unit())
		}
	}
}

func TestArrivals(t *testing.T) {
	second := experiment.Duration(time.Second)
	ramp := experiment.Ramp{{Users: 2, Over: second, Hold: second}, {Users: 0, Over: second, Hold: 100 * second}, {Users: 1, Hold: second}, {Hold: second}}
	var got []time.Duration
	ramp.Arrivals(func(at time.Duration) bool {
		got = append(got, at.Round(time.Microsecond))
		return true
	})
	want := []time.Duration{
		707_107 * time.Microsecond,   // t*t = 0.5
		1_250 * time.Millisecond,     // 1.5: 0.5 after the ramp's 1
		1_750 * time.Millisecond,     // 2.5
		2_292_893 * time.Microsecond, // 3.5, as far from the end as the first from the beginning
		103_500 * time.Millisecond,   // 4.5
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTake(t *testing.T) {
	rows := []byte("{}\n")
	f := &experiment.Feed{File: "a.jsonl"}
	if err := f.Take(rows); err != nil || string(f.Content()) != "{}\n" {
		t.Fatal(err)
	}
	if want := "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356"; f.SHA256 != want {
		t.Errorf("the SHA-256 is %s", f.SHA256)
	}
	if err := f.Take(rows); err != nil {
		t.Error(err)
	}
	if err := f.Take([]byte("[]")); err == nil {
		t.Error("took another file")
	}
	if err := new(experiment.Feed).Take(make([]byte, 32<<20+1)); err == nil {
		t.Error("took a file that is too large")
	}
}

func TestParseTemplate(t *testing.T) {
	for s, want := range map[string][]experiment.Piece{
		"":                  {{}},
		"a":                 {{Text: "a"}},
		"{{a}}":             {{Field: "a"}},
		"/{{ a b }}/{{b}}?": {{Text: "/", Field: "a b"}, {Text: "/", Field: "b"}, {Text: "?"}},
		`{"x":{{json a}}}`:  {{Text: `{"x":`, Field: "a", JSON: true}, {Text: "}"}},
		"{a} }}":            {{Text: "{a} }}"}},
		"{{json}}":          {{Field: "json"}},
	} {
		if got, err := experiment.ParseTemplate(s); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"{{", "a{{b", "{{}}", "{{ }}", "{{{a}}}", "{{a\nb}}", "{{a}} {{b}"} {
		if got, err := experiment.ParseTemplate(s); err == nil {
			t.Errorf("%q is %+v", s, got)
		}
	}
}

func TestWait(t *testing.T) {
	two := experiment.Duration(2 * time.Second)
	for _, c := range []struct {
		name      string
		wait      experiment.Wait
		due, done time.Duration
		random    float64
		want      time.Duration
	}{
		{"constant", experiment.Wait{Constant: &two}, 0, time.Second, 0.9, 3 * time.Second},
		{"between, least", experiment.Wait{Between: []experiment.Duration{two, 2 * two}}, 0, time.Second, 0, 3 * time.Second},
		{"between, middle", experiment.Wait{Between: []experiment.Duration{two, 2 * two}}, 0, time.Second, 0.5, 4 * time.Second},
		{"pacing, in time", experiment.Wait{Pacing: &two}, time.Second, 2 * time.Second, 0.5, 3 * time.Second},
		{"pacing, late", experiment.Wait{Pacing: &two}, time.Second, 9 * time.Second, 0.5, 9 * time.Second},
		{"none", experiment.Wait{}, 0, time.Second, 0.5, time.Second},
	} {
		if got := c.wait.Next(c.due, c.done, c.random); got != c.want {
			t.Errorf("%s: due at %v, not %v", c.name, got, c.want)
		}
	}
	if got := (experiment.Wait{Between: []experiment.Duration{0, two}}).Mean(); got != time.Second {
		t.Errorf("the mean is %v", got)
	}
}

func TestPrice(t *testing.T) {
	p := experiment.Price{CPUHour: 0.04048, GiBHour: 0.004445}
	got := p.Of(experiment.Limits{CPU: 5e8, Memory: 2 * experiment.GiB})
	if want := 0.02024 + 0.00889; math.Abs(got-want) > 1e-12 {
		t.Errorf("%v dollars, not %v", got, want)
	}
}

func TestQuantiles(t *testing.T) {
	e := parse(t, minimal("request: {path: /}", "objective: {p99.9: 3s, p50: 1s, errors: 0.5%, goodput: 99%}"))
	if got, want := e.Objective.String(), "p50 <= 1s, p99.9 <= 3s, errors <= 0.5%, goodput >= 99%"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
	if got := e.Objective.Quantiles()[1]; got != (experiment.Quantile{Name: "p99.9", Q: 0.999, Limit: 3 * time.Second}) {
		t.Errorf("%+v", got)
	}
}
