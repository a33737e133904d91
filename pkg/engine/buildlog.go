package engine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	outputBytes = 16 << 10 // of a step's output are kept,
	outputLines = 20       // of which so many are shown
	secretBytes = 4        // values of arguments that are as long are hidden
)

// A buildLog is what a build has said so far. Both builders speak to it: the
// classic one in lines, BuildKit in records.
type buildLog struct {
	progress func(string)      // told each step as it begins
	hide     *strings.Replacer // hides the arguments' values
	steps    map[string]*step  // by what the builder calls them
	current  string            // the classic builder's only one
	image    string            // the id of what was built
	failed   *step             // the first that did
}

type step struct {
	number      string // "3/7", or "3/7 of STAGE"; "" is none of the Dockerfile's
	instruction string
	told        bool
	output      tail
	err         string // why it failed
}

// newBuildLog returns the log of a build with these arguments. Their values
// may be secrets, and are never told; short ones are, since they would be
// found in every word.
func newBuildLog(args map[string]string, progress func(string)) *buildLog {
	return &buildLog{progress: progress, hide: hider(args), steps: map[string]*step{}}
}

func hider(args map[string]string) *strings.Replacer {
	var secrets []string
	for _, value := range args {
		secrets = append(secrets, strings.Join(strings.Fields(value), " ")) // as it is in one line
		for _, part := range append(strings.Split(value, "\n"), value) {
			secrets = append(secrets, strings.TrimSpace(part))
		}
	}
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // of two that begin alike the longer
	var pairs []string
	for _, secret := range secrets {
		if len(secret) >= secretBytes {
			pairs = append(pairs, secret, "***")
		}
	}
	return strings.NewReplacer(pairs...)
}

// observe takes in a message; an error is that the build has failed.
func (l *buildLog) observe(m message) error {
	switch {
	case m.Error != "":
		return l.failure(m)
	case m.Stream != "":
		l.line(m.Stream)
	case m.ID == "moby.buildkit.trace":
		return l.trace(m.Aux)
	case len(m.Aux) > 0: // the last one is the image, those before are stages
		var made struct{ ID string }
		if err := json.Unmarshal(m.Aux, &made); err != nil {
			return fmt.Errorf("read the image's id: %w", err)
		}
		l.image = made.ID
	}
	return nil
}

// The classic builder's words, and the colour in which it shows what a step
// writes to its standard error.
var (
	classicStep  = regexp.MustCompile(`^Step (\d+/\d+) : (.*)`)
	classicNoise = regexp.MustCompile(`^( ---> |Removing intermediate container |Successfully (built|tagged) |\s*$)`)
	colour       = regexp.MustCompile("\x1b\\[[0-9;]*m")
	exitCode     = regexp.MustCompile(`(?:exit code|non-zero code): (\d+)`)
	lackedImage  = regexp.MustCompile(`^(?:load metadata|resolve image config) for (?:docker-image://)?(\S+)`)
	vertexName   = regexp.MustCompile(`^\[(?:(\S+) )?(\d+/\d+)\] (.*)`)
)

// line takes in what the classic builder says.
func (l *buildLog) line(text string) {
	if found := classicStep.FindStringSubmatch(text); found != nil {
		l.current = found[1]
		l.begin(l.step(l.current, found[1], found[2]))
		return
	}
	if now, running := l.steps[l.current]; running && !classicNoise.MatchString(text) {
		fmt.Fprint(&now.output, text)
	}
}

// step returns the step that the builder calls by key.
func (l *buildLog) step(key, number, instruction string) *step {
	if l.steps[key] == nil {
		l.steps[key] = &step{output: tail{limit: outputBytes}}
	}
	s := l.steps[key]
	s.number, s.instruction = number, instruction
	return s
}

func (l *buildLog) begin(s *step) {
	if s.told || s.number == "" { // what the builder does besides is quick, or tells nothing
		return
	}
	s.told = true
	l.progress(oneLine("step " + s.number + ": " + l.hide.Replace(s.instruction)))
}

// trace takes in what BuildKit says: a StatusResponse of its control API
// (api/services/control/control.proto), of which a few fields are read here
// instead of linking BuildKit and gRPC for them.
func (l *buildLog) trace(aux json.RawMessage) error {
	var record []byte // base64 in JSON
	if err := json.Unmarshal(aux, &record); err != nil {
		return fmt.Errorf("read BuildKit's record: %w", err)
	}
	return fields(record, func(number int, value []byte) error {
		switch number {
		case 1:
			return l.vertex(value)
		case 3:
			return l.output(value)
		}
		return nil
	})
}

// vertex takes in a Vertex: a step that will run, runs, or has ended.
func (l *buildLog) vertex(record []byte) error {
	var digest, name, failed string
	started := false
	err := fields(record, func(number int, value []byte) error {
		switch number {
		case 1:
			digest = string(value)
		case 3:
			name = string(value)
		case 5:
			started = true
		case 7:
			failed = string(value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	number, instruction := "", strings.TrimPrefix(name, "[internal] ")
	if found := vertexName.FindStringSubmatch(name); found != nil {
		number, instruction = found[2], found[3]
		if found[1] != "" {
			number += " of " + found[1]
		}
	}
	s := l.step(digest, number, instruction)
	if started {
		l.begin(s)
	}
	// Where one fails, those that run beside it are cancelled.
	if failed != "" && l.failed == nil && !strings.Contains(failed, "context canceled") {
		s.err = failed
		l.failed = s
	}
	return nil
}

// lacks returns the image that BuildKit failed to find or to pull, or "".
func (l *buildLog) lacks() string {
	if l.failed != nil && l.failed.number == "" {
		if found := lackedImage.FindStringSubmatch(l.failed.instruction); found != nil {
			return found[1]
		}
	}
	return ""
}

// output takes in a VertexLog: what a step has written.
func (l *buildLog) output(record []byte) error {
	var digest string
	var text []byte
	err := fields(record, func(number int, value []byte) error {
		switch number {
		case 1:
			digest = string(value)
		case 4:
			text = value
		}
		return nil
	})
	if s := l.steps[digest]; s != nil {
		_, _ = s.output.Write(text) // never fails
	}
	return err
}

// fields passes a protobuf message's fields that are bytes, strings or
// messages to take, in order.
func fields(record []byte, take func(int, []byte) error) error {
	for len(record) > 0 {
		number, kind, n := protowire.ConsumeTag(record)
		if n < 0 {
			return fmt.Errorf("read BuildKit's record: %w", protowire.ParseError(n))
		}
		record = record[n:]
		if kind == protowire.BytesType {
			value, n := protowire.ConsumeBytes(record)
			if n >= 0 {
				if err := take(int(number), value); err != nil {
					return err
				}
			}
		}
		if n = protowire.ConsumeFieldValue(number, kind, record); n < 0 {
			return fmt.Errorf("read BuildKit's record: %w", protowire.ParseError(n))
		}
		record = record[n:]
	}
	return nil
}

// failure says which step failed, how, and what it had said last.
func (l *buildLog) failure(m message) error {
	s, reason := l.failed, m.Error
	if s == nil {
		s = l.steps[l.current]
	}
	if s == nil { // before the first step
		return errors.New(l.hide.Replace(reason))
	}
	where := oneLine(l.hide.Replace(s.instruction))
	if s.number != "" {
		where = "step " + s.number + ", " + where + ","
	}
	said := l.hide.Replace(lastLines(s.output.String(), s.output.limit))
	code := m.ErrorDetail.Code
	if found := exitCode.FindStringSubmatch(s.err + reason); code == 0 && found != nil {
		code, _ = strconv.Atoi(found[1]) // digits; too many are no exit code
	}
	switch {
	case code == 0:
		said = "failed: " + l.hide.Replace(cmp.Or(s.err, reason)) + said
	case said == "":
		said = fmt.Sprintf("failed with exit code %d, and said nothing", code)
	default:
		said = fmt.Sprintf("failed with exit code %d:%s", code, said)
	}
	return errors.New(where + " " + said)
}

// lastLines returns the last lines of an output of which a tail of limit bytes
// was kept, each on a line of its own and indented.
func lastLines(output string, limit int) string {
	if len(output) == limit { // it doesn't begin with the beginning of a line, which might be half a secret
		_, output, _ = strings.Cut(output, "\n")
	}
	output = strings.TrimSpace(colour.ReplaceAllString(output, ""))
	if output == "" {
		return ""
	}
	lines := strings.Split(output, "\n")
	lines = lines[max(0, len(lines)-outputLines):]
	for i, line := range lines {
		line = strings.TrimRight(line, "\r")
		lines[i] = line[strings.LastIndex(line, "\r")+1:] // what a terminal would show
	}
	return "\n  " + strings.Join(lines, "\n  ")
}
