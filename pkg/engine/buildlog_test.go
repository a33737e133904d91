package engine

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"
)

// The streams are a real engine's, Docker 20.10, which built
//
//	FROM debian:bookworm-slim AS base
//	LABEL sweep.test=try
//	ARG TOKEN
//	RUN echo hello $TOKEN && echo err >&2
//	FROM base AS last
//	COPY Dockerfile /x
//	RUN echo before; seq 1 3; exit 7
func TestBuildLog(t *testing.T) {
	for _, test := range []struct {
		file   string
		told   []string
		failed string
	}{
		{
			"classic.jsonl",
			[]string{
				"step 1/7: FROM debian:bookworm-slim AS base",
				"step 2/7: LABEL sweep.test=try",
				"step 3/7: ARG TOKEN",
				"step 4/7: RUN echo hello $TOKEN && echo err >&2",
				"step 5/7: FROM base AS last",
				"step 6/7: COPY Dockerfile /x",
				"step 7/7: RUN echo before; seq 1 3; exit 7",
			},
			"step 7/7, RUN echo before; seq 1 3; exit 7, failed with exit code 7:\n  before\n  1\n  2\n  3",
		},
		{
			"buildkit.jsonl",
			[]string{
				"step 1/2 of base: FROM docker.io/library/debian:bookworm-slim",
				"step 2/2 of base: RUN echo hello *** && echo err >&2",
				"step 1/2 of last: COPY Dockerfile /x",
				"step 2/2 of last: RUN echo before; seq 1 3; exit 7",
			},
			"step 2/2 of last, RUN echo before; seq 1 3; exit 7, failed with exit code 7:\n  before\n  1\n  2\n  3",
		},
	} {
		t.Run(test.file, func(t *testing.T) {
			stream, err := os.Open("testdata/build/" + test.file)
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Close()
			var told []string
			log := newBuildLog(map[string]string{"TOKEN": "s3cretvalue"}, func(line string) { told = append(told, line) })
			var failed error
			for m, err := range messages(stream) {
				if err != nil {
					t.Fatal(err)
				}
				if failed = log.observe(m); failed != nil {
					break
				}
			}
			if diff := cmp.Diff(test.told, told); diff != "" {
				t.Error("told (-want +got):\n" + diff)
			}
			if failed == nil || failed.Error() != test.failed {
				t.Errorf("failed with %v", failed)
			}
			for _, step := range log.steps {
				if strings.Contains(step.output.String(), "err") && lastLines(log.hide.Replace(step.output.String()), outputBytes) != "\n  hello ***\n  err" {
					t.Errorf("the output is %q", step.output.String())
				}
			}
		})
	}
}

func TestLacks(t *testing.T) {
	for name, want := range map[string]string{
		"[internal] load metadata for docker.io/library/python:3.12-slim":               "docker.io/library/python:3.12-slim",
		"resolve image config for docker.io/docker/dockerfile:1":                        "docker.io/docker/dockerfile:1",
		"resolve image config for docker-image://docker.io/docker/dockerfile:1":         "docker.io/docker/dockerfile:1",
		"[internal] load remote build context":                                          "",
		"[2/3] RUN echo load metadata for x":                                            "",
		"[stage-1 2/3] load metadata for x, which is what an instruction may be called": "",
	} {
		log := newBuildLog(nil, func(string) {})
		vertex := protowire.AppendTag(nil, 3, protowire.BytesType)
		vertex = protowire.AppendString(vertex, name)
		vertex = protowire.AppendTag(vertex, 7, protowire.BytesType)
		vertex = protowire.AppendString(vertex, "no active sessions")
		if err := log.vertex(vertex); err != nil {
			t.Fatal(err)
		}
		if got := log.lacks(); got != want {
			t.Errorf("%q lacks %q, want %q", name, got, want)
		}
	}
}

func TestLastLines(t *testing.T) {
	for _, test := range []struct {
		output string
		limit  int
		want   string
	}{
		{"", 100, ""},
		{"\n \n", 100, ""},
		{"one\ntwo\n", 100, "\n  one\n  two"},
		{"\x1b[91mred\n\x1b[0m", 100, "\n  red"},
		{" 1%\r50%\r99%\r\ndone", 100, "\n  99%\n  done"},
		{"ret\nwhole", 9, "\n  whole"}, // of a line only the end was kept
		{"ret", 3, ""},
		{strings.Repeat("x\n", 30), 100, strings.Repeat("\n  x", outputLines)},
	} {
		if got := lastLines(test.output, test.limit); got != test.want {
			t.Errorf("lastLines(%q, %d) = %q, want %q", test.output, test.limit, got, test.want)
		}
	}
}

// However a builder tells an argument's value, nobody else is told.
func TestHider(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfN(rapid.StringMatching(`[a-c]{4,8}( [a-c]{4,8}|  [a-c]{4}|\n[a-c]{4,8})?`), 1, 4).Draw(t, "secrets")
		args := map[string]string{}
		for i, secret := range secrets {
			args[string(rune('A'+i))] = secret
		}
		log := newBuildLog(args, func(string) {})
		told := rapid.SampledFrom([]func(string) string{
			func(s string) string { return s },
			oneLine,
			func(s string) string { return strings.Split(s, "\n")[0] },
		}).Draw(t, "telling")(rapid.SampledFrom(secrets).Draw(t, "secret"))
		if got := log.hide.Replace("RUN -t " + told + "; :"); strings.ContainsAny(got, "abc") {
			t.Errorf("%q is told as %q", told, got)
		}
	})
}

func TestHiderOfSimilar(t *testing.T) {
	hide := hider(map[string]string{"A": "abcd   ", "B": "abcdef", "C": "on", "D": ""})
	if got := hide.Replace("abcdef abcd on"); got != "*** *** on" {
		t.Errorf("hidden: %q", got)
	}
}

// Records of another BuildKit, or broken ones, do no harm.
func TestTraceOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		record := rapid.SliceOf(rapid.Byte()).Draw(t, "record")
		log := newBuildLog(nil, func(string) {})
		seen := 0
		err := fields(record, func(_ int, value []byte) error {
			seen += len(value)
			return nil
		})
		if seen > len(record) {
			t.Errorf("read %d bytes of %d", seen, len(record))
		}
		if again := errors.Join(log.vertex(record), log.output(record)); (again == nil) != (err == nil) {
			t.Errorf("read by itself: %v; as a step: %v", err, again)
		}
	})
}
