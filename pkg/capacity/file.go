package capacity

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// What stands in the file, key for key.
type (
	fileYAML struct {
		Version    int            `yaml:"version"`
		Experiment string         `yaml:"experiment"`
		Question   string         `yaml:"question"`
		Target     int            `yaml:"target"`
		Unit       string         `yaml:"unit"`
		Objective  string         `yaml:"objective"`
		Baselines  []baselineYAML `yaml:"baselines"`
	}
	baselineYAML struct {
		Host      hostYAML   `yaml:"host"`
		Measured  string     `yaml:"measured"`
		Sweep     string     `yaml:"sweep"`
		Run       string     `yaml:"run"`
		Image     string     `yaml:"image"`
		ImageID   string     `yaml:"image_id"`
		Digests   []string   `yaml:"digests"`
		Blueprint string     `yaml:"blueprint"`
		Ceiling   float64    `yaml:"generator_ceiling"`
		Minimal   limitsYAML `yaml:"minimal"`
		Cells     []cellYAML `yaml:"cells"`
		Starts    startsYAML `yaml:"starts"`
	}
	hostYAML struct {
		CPUs         int              `yaml:"cpus"`
		Memory       experiment.Bytes `yaml:"memory"`
		Kernel       string           `yaml:"kernel"`
		Architecture string           `yaml:"architecture"`
		Cgroup       string           `yaml:"cgroup"`
		Engine       string           `yaml:"engine"`
	}
	limitsYAML struct {
		CPUs   experiment.CPUs   `yaml:"cpus"`
		Memory experiment.Bytes  `yaml:"memory"`
		Env    map[string]string `yaml:"env"`
		Image  string            `yaml:"image"`
	}
	cellYAML struct {
		CPUs      experiment.CPUs   `yaml:"cpus"`
		Memory    experiment.Bytes  `yaml:"memory"`
		Env       map[string]string `yaml:"env"`
		Image     string            `yaml:"image"`
		Outcome   string            `yaml:"outcome"`
		LastPass  int               `yaml:"last_pass"`
		FirstFail int               `yaml:"first_fail"`
		Proved    bool              `yaml:"proved"`
	}
	startsYAML struct {
		Throughput []float64 `yaml:"throughput"`
		P99        []float64 `yaml:"p99_ms"`
		CPU        []float64 `yaml:"cpu_ms_per_request"`
		Memory     []float64 `yaml:"peak_memory_mib"`
		Errors     []float64 `yaml:"errors"`
	}
)

func (l limitsYAML) limits() experiment.Limits {
	return experiment.Limits{CPU: l.CPUs, Memory: l.Memory, Env: experiment.VariablesOf(l.Env), Image: l.Image}
}

// Parse reads a contract. It is as strict as experiment files are: an unknown
// key is an error. The error names file, line and column where it can, and has
// all that is wrong with the values.
func Parse(name string, src []byte) (Contract, error) {
	var f fileYAML
	if err := yaml.UnmarshalWithOptions(src, &f, yaml.Strict()); err != nil {
		at, message := name, err.Error()
		if e, ok := errors.AsType[yaml.Error](err); ok {
			message = e.GetMessage()
			if t := e.GetToken(); t != nil && t.Position != nil {
				at = fmt.Sprintf("%s:%d:%d", name, t.Position.Line, t.Position.Column)
			}
		}
		return Contract{}, fmt.Errorf("%s: %s", at, message)
	}
	c := Contract{Experiment: f.Experiment, Question: f.Question, Target: f.Target, Unit: f.Unit, Objective: f.Objective}
	var wrong []error
	fault := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
	}
	if f.Version != Version {
		fault("version: is %d; this sweep reads %d", f.Version, Version)
	}
	if c.Experiment == "" || c.Question == "" || c.Target < 1 || c.Objective == "" {
		fault("experiment, question, target and objective must be there; sweep check --update writes them")
	}
	for i, b := range f.Baselines {
		read, problems := b.baseline()
		for _, p := range problems {
			fault("baselines[%d]%s", i, p)
		}
		if c.On(read.Host) != nil {
			fault("baselines[%d].host: %s is there twice", i, read.Host)
		}
		c.Baselines = append(c.Baselines, read)
	}
	return c, errors.Join(wrong...)
}

// baseline returns what stands there, and what of it can't be.
func (b baselineYAML) baseline() (out Baseline, problems []string) {
	out = Baseline{
		Host:     Host(b.Host),
		Measured: b.Measured, Sweep: b.Sweep, Run: b.Run, Image: b.Image, ImageID: b.ImageID, Digests: b.Digests, Blueprint: b.Blueprint,
		Ceiling: b.Ceiling, Minimal: b.Minimal.limits(),
	}
	if out.Minimal.CPU == 0 || out.Minimal.Memory == 0 {
		problems = append(problems, ".minimal: needs cpus and memory")
	}
	if out.ImageID == "" {
		problems = append(problems, ".image_id: is missing")
	}
	for _, c := range b.Cells {
		limits := limitsYAML{c.CPUs, c.Memory, c.Env, c.Image}.limits()
		out.Cells = append(out.Cells, Cell{limits, analysis.Outcome(c.Outcome), c.LastPass, c.FirstFail, c.Proved})
	}
	s := b.Starts
	for _, list := range [][]float64{s.P99, s.CPU, s.Memory, s.Errors} {
		if len(list) != len(s.Throughput) {
			return out, append(problems, ".starts: its lists aren't equally long: each start has a value in each")
		}
	}
	for i := range s.Throughput {
		start := Start{s.Throughput[i], s.P99[i], s.CPU[i], s.Memory[i], s.Errors[i]}
		for _, v := range []float64{start.Throughput, start.P99, start.CPU, start.Memory, start.Errors} {
			if v < 0 || math.IsNaN(v) || math.IsInf(v, 0) {
				return out, append(problems, fmt.Sprintf(".starts: value %d of a list is no amount", i+1))
			}
		}
		out.Starts = append(out.Starts, start)
	}
	return out, problems
}

const preamble = `# What the service was agreed to carry: "sweep check" holds each night against it.
# Written by "sweep check --update". Read its diff as you read code: what grows here is paid for.
`

// YAML returns the contract as the file that [Parse] reads: always in the same
// order and to four digits, so that a diff shows what has changed.
func (c Contract) YAML() []byte {
	var b strings.Builder
	b.WriteString(preamble)
	fmt.Fprintf(&b, "version: %d\nexperiment: %s\nquestion: %s\ntarget: %d\nunit: %s\nobjective: %s\nbaselines:\n",
		Version, quoted(c.Experiment), quoted(c.Question), c.Target, quoted(c.Unit), quoted(c.Objective))
	hosts := slices.SortedStableFunc(slices.Values(c.Baselines), func(a, b Baseline) int { return cmp.Compare(a.Host.String(), b.Host.String()) })
	for _, base := range hosts {
		base.write(&b)
	}
	return []byte(b.String())
}

func (x Baseline) write(b *strings.Builder) {
	h := x.Host
	fmt.Fprintf(b, "  - host: {cpus: %d, memory: %s, kernel: %s, architecture: %s, cgroup: %s, engine: %s}\n",
		h.CPUs, h.Memory, quoted(h.Kernel), quoted(h.Architecture), quoted(h.Cgroup), quoted(h.Engine))
	fmt.Fprintf(b, "    measured: %s\n    sweep: %s\n    run: %s\n", quoted(x.Measured), quoted(x.Sweep), quoted(x.Run))
	fmt.Fprintf(b, "    image: %s\n    image_id: %s\n", quoted(x.Image), quoted(x.ImageID))
	var digests []string
	for _, d := range x.Digests {
		digests = append(digests, quoted(d))
	}
	fmt.Fprintf(b, "    digests: [%s]\n    blueprint: %s\n", strings.Join(digests, ", "), quoted(x.Blueprint))
	fmt.Fprintf(b, "    generator_ceiling: %s # requests/s\n", amount(x.Ceiling))
	fmt.Fprintf(b, "    minimal: {%s}\n    cells:\n", keys(x.Minimal))
	for _, cell := range x.Cells {
		fmt.Fprintf(b, "      - {%s, outcome: %s, last_pass: %d, first_fail: %d, proved: %t}\n",
			keys(cell.Limits), cell.Outcome, cell.LastPass, cell.FirstFail, cell.Proved)
	}
	fmt.Fprintf(b, "    starts: # fresh ones of the minimal configuration that held the target\n")
	for _, m := range Metrics() {
		fmt.Fprintf(b, "      %s: [%s]\n", m.Name, amounts(m.values(x.Starts)))
	}
	failed := make([]float64, len(x.Starts))
	for i, s := range x.Starts {
		failed[i] = s.Errors
	}
	fmt.Fprintf(b, "      errors: [%s]\n", amounts(failed))
}

// keys returns a cell as its keys and values.
func keys(l experiment.Limits) string {
	text := fmt.Sprintf("cpus: %s, memory: %s", l.CPU, l.Memory)
	if l.Env != "" {
		text += ", env: " + string(l.Env) // JSON is YAML
	}
	if l.Image != "" {
		text += ", image: " + quoted(l.Image)
	}
	return text
}

// quoted returns text as YAML reads it back, whatever is in it.
func quoted(text string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		panic(err) // every text has a form in JSON
	}
	return strings.TrimSpace(b.String())
}

const digits = 4

// amount returns v to so many digits that a diff shows what matters, and never
// with an exponent.
func amount(v float64) string { return strconv.FormatFloat(rounded(v), 'f', -1, 64) }

func rounded(v float64) float64 {
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', digits, 64), 64)
	if err != nil {
		panic(err) // it was just written
	}
	return short
}

func amounts(values []float64) string {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = amount(v)
	}
	return strings.Join(parts, ", ")
}
