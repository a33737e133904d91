package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// ApplyFolder is the folder of the report's files that put the answer into
// force.
const ApplyFolder = "apply"

// headroom is how much more than the target a configuration should carry before
// it is recommended, as a share of the target.
const headroom = 0.25

// applyNames returns the names of the files that [Write] makes where there is a
// minimal configuration, and only there.
func applyNames() []string {
	var names []string
	for _, f := range applyFiles() {
		names = append(names, f.name)
	}
	return names
}

// An applyFile writes a provision in the form of one tool.
type applyFile struct {
	name  string
	write func(io.Writer, provision) error
}

func applyFiles() []applyFile {
	return []applyFile{
		{ApplyFolder + "/compose.override.yaml", composeOverride},
		{ApplyFolder + "/kubernetes.yaml", kubernetesPatch},
		{ApplyFolder + "/docker-update.sh", dockerUpdate},
	}
}

// A provision is the configuration to take for the service.
type provision struct {
	limits experiment.Limits
	proved bool // it carried the target and the headroom
	name   string
	env    map[string]string // what was set for this cell, or follows its limits
	says   []string          // sentences: which configuration this is
}

// provision returns what to grant: the cheapest measured cell that carried the
// target and the headroom, else the minimal one; nil where there is none.
func (r Run) provision() *provision {
	m := r.Surface.Minimal
	if m == nil || r.Experiment == nil {
		return nil
	}
	p := &provision{limits: m.Limits, name: serviceName(r.Experiment)}
	carried := m.Headroom * float64(r.Surface.Target)
	if best := r.roomy(); best != nil {
		p.limits, p.proved, carried = best.Trial.Limits, true, float64(best.LastPass.Users)
	}
	p.env = environment(r.Experiment, p.limits)
	p.says = []string{
		fmt.Sprintf("%s, from experiment %s, run %s: it carried %s %s; %s were asked for.", p.limits, r.Surface.Experiment, r.ID,
			analysis.Thousands(int(math.Round(carried))), r.unit(), analysis.Thousands(r.Surface.Target)),
		r.roomSays(*p),
	}
	return p
}

// headroomed says what is known of headroom, or nothing where there is no minimal
// configuration.
func (r Run) headroomed() []string {
	if p := r.provision(); p != nil {
		return p.says[1:]
	}
	return nil
}

// taken links the files that put the answer into force.
func (r Run) taken() string {
	if r.provision() == nil {
		return ""
	}
	var links []string
	for _, name := range applyNames() {
		links = append(links, fmt.Sprintf("[%s](%s)", path.Base(name), name))
	}
	return "To put it into force: " + strings.Join(links, ", ") + "."
}

// roomSays says whether headroom is proved, and what would prove it.
func (r Run) roomSays(p provision) string {
	if p.proved {
		return fmt.Sprintf("%s is the cheapest measured configuration with a headroom of %s.", p.limits, percent(headroom))
	}
	with := r.withRoom()
	return fmt.Sprintf("A headroom of %s isn't proved: nothing measured carried %s %s (%s would ask for that).",
		percent(headroom), analysis.Thousands(with), r.unit(), r.asWritten(with))
}

// asWritten returns a load as an experiment file has it.
func (r Run) asWritten(load int) string {
	if r.open() {
		return "rate: " + experiment.Rate(load).String()
	}
	return "target: " + strconv.Itoa(load)
}

// withRoom returns the load that a configuration with headroom carries.
func (r Run) withRoom() int { return int(math.Ceil((1 + headroom) * float64(r.Surface.Target))) }

// roomy returns the cheapest measured cell that carried the target and the
// headroom, or nil. A cell that failed beyond that did so on its way, or proved.
func (r Run) roomy() *analysis.Cell {
	var carry []analysis.Cell
	for _, c := range r.Surface.Cells {
		if c.Measured && (c.Outcome == analysis.Passed || c.Proved) && c.LastPass != nil && c.LastPass.Users >= r.withRoom() {
			carry = append(carry, c)
		}
	}
	if len(carry) == 0 {
		return nil
	}
	best := slices.MinFunc(carry, analysis.Cheaper)
	return &best
}

// environment returns the variables that make a cell what it is: its settings,
// and those of the service that follow its limits. Others are the service's own,
// and may be secret.
func environment(e *experiment.Experiment, l experiment.Limits) map[string]string {
	env := map[string]string{}
	for name, value := range e.Service.Env {
		follows := strings.Contains(value.Written, "${cpus}") || strings.Contains(value.Written, "${memory_bytes}")
		told := experiment.Value{Resolved: value.Written}.Under(l)
		if follows && !strings.Contains(told, "$") {
			env[name] = told
		}
	}
	maps.Copy(env, l.Environment())
	return env
}

// serviceName returns what the experiment's service is called, as far as it
// says: letters, digits, dots, underscores and hyphens.
func serviceName(e *experiment.Experiment) string {
	s, name := e.Service, e.Name
	switch {
	case s.Compose != nil:
		name = s.Compose.Service
	case s.Container != "": // by a label: its value
		name = s.Container[strings.LastIndex(s.Container, "=")+1:]
	case s.Image != "":
		name, _, _ = strings.Cut(s.Image, "@")
		name, _, _ = strings.Cut(path.Base(name), ":")
	}
	name = strings.Trim(regexp.MustCompile(`[^A-Za-z0-9._-]+`).ReplaceAllString(name, "-"), "-._")
	return cmp.Or(name[:min(len(name), nameLength)], "service")
}

// comment writes what a file is, and how to use it.
func (p provision) comment(w io.Writer, use ...string) error {
	for _, line := range slices.Concat(p.says, use) {
		if _, err := fmt.Fprintf(w, "# %s\n", clean(line, 2*lineLength)); err != nil {
			return err //nolint:wrapcheck // the writer's own
		}
	}
	return nil
}

// variables returns what the provision sets, by name.
func (p provision) variables() []string { return slices.Sorted(maps.Keys(p.env)) }

// composeOverride writes p as a Compose file that goes over another.
func composeOverride(w io.Writer, p provision) error {
	if err := p.comment(w, "Use: docker compose -f compose.yaml -f compose.override.yaml up -d; the service has to be called "+p.name+" there."); err != nil {
		return err
	}
	b := &strings.Builder{}
	fmt.Fprintf(b, "services:\n  %s:\n", scalar(p.name))
	if p.limits.Image != "" {
		fmt.Fprintf(b, "    image: %s\n", strconv.QuoteToASCII(literal(p.limits.Image)))
	}
	if len(p.env) > 0 {
		b.WriteString("    environment:\n")
		for _, name := range p.variables() {
			fmt.Fprintf(b, "      - %s\n", strconv.QuoteToASCII(literal(name+"="+p.env[name])))
		}
	}
	fmt.Fprintf(b, "    deploy:\n      resources:\n        limits:\n          cpus: %q\n          memory: %q\n", p.limits.CPU, p.limits.Memory)
	_, err := io.WriteString(w, b.String())
	return err //nolint:wrapcheck // the writer's own
}

// kubernetesPatch writes p as a patch of a Deployment or anything else that has
// a template of pods.
func kubernetesPatch(w io.Writer, p provision) error {
	name := cmp.Or(strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(p.name), "-"), "-"), "service")
	if err := p.comment(w, fmt.Sprintf("Use: kubectl patch deployment %s --patch-file kubernetes.yaml; its container has to be called %[1]s.", name),
		"Requests are the limits, so that what was measured is there at any time."); err != nil {
		return err
	}
	b := &strings.Builder{}
	fmt.Fprintf(b, "spec:\n  template:\n    spec:\n      containers:\n        - name: %s\n", scalar(name))
	if p.limits.Image != "" {
		fmt.Fprintf(b, "          image: %s\n", strconv.QuoteToASCII(p.limits.Image))
	}
	if len(p.env) > 0 {
		b.WriteString("          env:\n")
		for _, name := range p.variables() {
			fmt.Fprintf(b, "            - {name: %s, value: %s}\n", strconv.QuoteToASCII(name), strconv.QuoteToASCII(literal(p.env[name])))
		}
	}
	b.WriteString("          resources:\n")
	for _, what := range []string{"requests", "limits"} {
		fmt.Fprintf(b, "            %s: {cpu: %q, memory: %q}\n", what, cpuQuantity(p.limits.CPU), memoryQuantity(p.limits.Memory))
	}
	_, err := io.WriteString(w, b.String())
	return err //nolint:wrapcheck // the writer's own
}

// literal keeps Compose and Kubernetes from putting variables in.
func literal(value string) string { return strings.ReplaceAll(value, "$", "$$") }

// cpuQuantity writes CPUs as Kubernetes does: whole, or in thousandths, which is
// the least that it tells apart. What is between them is rounded up.
func cpuQuantity(c experiment.CPUs) string {
	const core, milli = 1_000_000_000, 1_000_000
	if c%core == 0 {
		return strconv.FormatInt(int64(c/core), 10)
	}
	return strconv.FormatInt(int64((c+milli-1)/milli), 10) + "m"
}

// memoryQuantity writes memory as Kubernetes does, where M is a million bytes
// and Mi is what Docker calls M.
func memoryQuantity(b experiment.Bytes) string {
	for _, u := range []struct {
		size experiment.Bytes
		name string
	}{{experiment.MiB, "Mi"}, {experiment.KiB, "Ki"}} {
		if b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// dockerUpdate writes p as a command for a container that exists. Swap is as
// much as memory, which means none, as it was measured.
func dockerUpdate(w io.Writer, p provision) error {
	if _, err := io.WriteString(w, "#!/bin/sh\n"); err != nil {
		return err //nolint:wrapcheck // the writer's own
	}
	use := []string{"Use: sh docker-update.sh [CONTAINER]; without one it is called " + p.name + "."}
	if p.limits.Image != "" {
		use = append(use, "It can't change the image, "+p.limits.Image+": that takes a new container.")
	}
	if len(p.env) > 0 {
		var settings []string
		for _, name := range p.variables() {
			settings = append(settings, name+"="+strconv.QuoteToASCII(p.env[name]))
		}
		use = append(use, "It can't change the environment, "+strings.Join(settings, " ")+": that takes a new container.")
	}
	if err := p.comment(w, use...); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "exec docker update --cpus %s --memory %s --memory-swap %[2]s -- \"${1:-%[3]s}\"\n", p.limits.CPU, p.limits.Memory, p.name)
	return err //nolint:wrapcheck // the writer's own
}

// scalar writes a name in YAML, in quotes where it could be taken for something
// else.
func scalar(name string) string {
	if plainName.MatchString(name) && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}, name) {
		return name
	}
	return strconv.QuoteToASCII(name)
}

var plainName = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
