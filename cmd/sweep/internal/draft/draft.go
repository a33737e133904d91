// Package draft writes an experiment file for what is running: from what was
// seen of a service, and from its OpenAPI document where it has one, it guesses
// what a first experiment should ask.
//
// It is pure: facts in, text out. What there is to see, sweep init looks at.
package draft

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"sweep/pkg/experiment"
)

// Facts is what is known of a service. A zero field is not known.
type Facts struct {
	Name      string              // what to call the experiment; see [Name]
	Container string              // the container that runs it
	Compose   *experiment.Compose // or the Compose service that it is; whether it runs or not
	Running   bool                // whether it was looked at, so that what follows is seen
	Port      int
	Others    []int  // other ports that it listens on, or exposes
	HTTPS     bool   // whether it speaks TLS there
	Ready     string // a path that answers GET with 2xx
	Document  string // the path of its OpenAPI document
	Undecided string // why no request was found in that
	Request   Request
	Answer    Answer // to Request

	Limits experiment.Limits // its present ones, 0 where it has none
	Used   experiment.Bytes  // its memory now
	Host   experiment.Limits // all that the engine's host has
}

// Answer is what a service answered.
type Answer struct {
	Status int    // 0: none
	Body   string // or, without a status, why there is none
}

// OK reports whether it is a right answer.
func (a Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// Name returns an experiment's name made from a container's, a service's or an
// image's.
func Name(from string) string {
	const longest = 64
	from = strings.ToLower(path.Base(from))
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '-'
	}, from)
	return cmp.Or(strings.TrimLeft(name[:min(len(name), longest)], "._-"), "service")
}

// Write returns the experiment file.
func Write(f Facts) string {
	var w page
	w.head(f)
	w.service(f)
	w.request(f)
	w.matrix(f)
	w.rest()
	return w.String()
}

// page is a text of lines, most of which have a comment.
type page struct{ strings.Builder }

// comments begin at this column, where the line is short enough.
const margin = 40

// line writes a line, with a comment where there is one.
func (p *page) line(text, comment string) {
	if comment != "" {
		text = fmt.Sprintf("%-*s # %s", margin, text, comment)
	}
	p.WriteString(text + "\n")
}

// section begins a part of the file.
func (p *page) section(text, comment string) {
	p.line("", "")
	p.line(text, comment)
}

func (p *page) head(f Facts) {
	what := "the running container " + f.Container
	if f.Compose != nil {
		what = "the Compose service " + f.Compose.Service
	}
	p.line("# Written by sweep init for "+what+". What it guessed is said beside it;", "")
	p.line("# `sweep run --schema` says what else a file may ask.", "")
	p.line("version: 1", "")
	p.line("name: "+yaml(f.Name), "")
}

func (p *page) service(f Facts) {
	p.section("service:", "")
	if f.Compose != nil {
		p.line(fmt.Sprintf("  compose: {file: %s, service: %s}", yaml(f.Compose.File), yaml(f.Compose.Service)), "")
	} else {
		p.line("  container: "+yaml(f.Container), "stopped while copies of it under limits take its place, then started again")
	}
	p.line(fmt.Sprintf("  port: %d", f.Port), ports(f))
	switch {
	case f.Ready != "":
		p.line(fmt.Sprintf("  ready: {path: %s, within: 60s}", yaml(f.Ready)), "it answers there; a fresh start counts as ready when it does")
	default:
		p.line("  ready: {within: 60s}", "when the port accepts connections; better {path: /health, within: 60s}, with a path that it answers")
	}
}

func ports(f Facts) string {
	var parts []string
	if !f.Running {
		parts = append(parts, "nothing runs that could be looked at: is it this one?")
	}
	if len(f.Others) > 0 {
		var others []string
		for _, o := range f.Others {
			others = append(others, strconv.Itoa(o))
		}
		parts = append(parts, "it has "+strings.Join(others, ", ")+" too")
	}
	return strings.Join(parts, "; ")
}

func (p *page) request(f Facts) {
	p.section("request:", "")
	for _, remark := range remarks(f) {
		p.line("  # "+remark, "")
	}
	r := f.Request
	p.line("  method: "+r.Method, "")
	p.line("  path: "+yaml(r.Path), "")
	if len(r.Headers) > 0 {
		var headers []string
		for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
			headers = append(headers, yaml(name)+": "+yaml(r.Headers[name]))
		}
		p.line("  headers: {"+strings.Join(headers, ", ")+"}", "")
	}
	if needsKey(f) {
		p.line(`  # headers: {Authorization: "Bearer ${TOKEN}"}`, "from the environment of sweep run: sent, never recorded")
	}
	if r.Body != "" {
		p.line("  body: "+yaml(r.Body), "")
	}
	if f.HTTPS {
		p.line("  protocol: https", "")
		p.line("  insecure: true", "take any certificate: it is asked for at 127.0.0.1")
	}
	p.line("  timeout: 10s", "an answer that takes longer is an error")
	p.line("  expect: "+expect(f.Answer), "what a right answer is")
}

func needsKey(f Facts) bool {
	return f.Answer.Status == 401 || f.Answer.Status == 403 || f.Request.Secured && !f.Answer.OK()
}

func expect(a Answer) string {
	if !a.OK() {
		return "{status: [200]}"
	}
	status := fmt.Sprintf("{status: [%d]", a.Status)
	if field := Telling(a.Body); field != "" {
		status += ", contains: " + yaml(field)
	}
	return status + "}"
}

// remarks says where the request is from and what became of it.
func remarks(f Facts) []string {
	var out []string
	asked := f.Request.Method + " " + f.Request.Path
	switch {
	case !f.Running:
		return []string{"MEND THIS: nothing runs that could be looked at. What do its users ask?"}
	case f.Document != "" && f.Undecided == "":
		out = append(out, "From its OpenAPI document, "+f.Document+". Values are made up from its schema: better are those that its users send.")
	case f.Document != "":
		out = append(out, "Its OpenAPI document, "+f.Document+", has no request for a load: "+plain(f.Undecided)+".", example)
	default:
		out = append(out, "It shows no OpenAPI document, so this is just what it answers. Ask what its users ask, such as:", example)
	}
	switch a := f.Answer; {
	case a.OK():
		out = append(out, fmt.Sprintf("Sent once: %s answered %d.", asked, a.Status))
	case a.Status == 0:
		out = append(out, fmt.Sprintf("MEND THIS: sent once, %s got no answer: %s", asked, plain(a.Body)))
	default:
		out = append(out, fmt.Sprintf("MEND THIS: sent once, %s answered %d: %s", asked, a.Status, plain(a.Body)))
	}
	return out
}

const example = `method: POST, path: /predict, headers: {Content-Type: application/json}, body: '{"features": [1, 2, 3]}'`

// plain returns the first line of a text, short and printable.
func plain(text string) string {
	const longest = 160
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	return cmp.Or(text, "nothing")
}

func (p *page) matrix(f Facts) {
	cpus, whyCPUs := cpus(f)
	memory, whyMemory := memory(f)
	p.section("matrix:", "every pair of these is a cell")
	p.line("  cpus: "+listed(cpus), whyCPUs)
	p.line("  memory: "+listed(memory), whyMemory)
}

func listed[T fmt.Stringer](values []T) string {
	var texts []string
	for _, v := range values {
		texts = append(texts, v.String())
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// around returns half of a limit, itself and its double, as far as there is so
// much.
func around[T ~int64](limit, least, most T) []T {
	var out []T
	for _, v := range []T{limit / 2, limit, 2 * limit} {
		if v = max(v, least); most == 0 || v <= most {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		return []T{most}
	}
	return slices.Compact(out)
}

func cpus(f Facts) ([]experiment.CPUs, string) {
	const cpu = experiment.CPUs(1_000_000_000)
	host := ""
	if f.Host.CPU > 0 {
		host = fmt.Sprintf("the host has %s", f.Host.CPU)
	}
	if f.Limits.CPU > 0 {
		return around(f.Limits.CPU, cpu/100, f.Host.CPU), joinedWords("its present limit of "+f.Limits.CPU.String()+", half and double", host)
	}
	return around(cpu, cpu/100, f.Host.CPU), joinedWords("it has no limit", host)
}

// sizes are amounts of memory that people choose.
var sizes = []experiment.Bytes{ //nolint:gochecknoglobals // a table
	64 * experiment.MiB, 128 * experiment.MiB, 200 * experiment.MiB, 256 * experiment.MiB, 500 * experiment.MiB,
	1 * experiment.GiB, 2 * experiment.GiB, 4 * experiment.GiB, 8 * experiment.GiB, 16 * experiment.GiB, 32 * experiment.GiB, 64 * experiment.GiB,
}

func memory(f Facts) ([]experiment.Bytes, string) {
	most := f.Host.Memory / experiment.MiB * experiment.MiB
	if f.Limits.Memory > 0 {
		return around(f.Limits.Memory, experiment.MinMemory, most), "its present limit of " + f.Limits.Memory.String() + ", half and double"
	}
	if f.Used == 0 {
		return within([]experiment.Bytes{200 * experiment.MiB, 500 * experiment.MiB}, most), "a guess"
	}
	next := sizes[len(sizes)-1]
	if i := slices.IndexFunc(sizes, func(s experiment.Bytes) bool { return s > f.Used }); i >= 0 {
		next = sizes[i]
	}
	return within([]experiment.Bytes{next, 2 * next}, most), fmt.Sprintf("it uses %.0f MiB now, and has no limit", f.Used.MiB())
}

func within(values []experiment.Bytes, most experiment.Bytes) []experiment.Bytes {
	if most == 0 {
		return values
	}
	for i := range values {
		values[i] = min(values[i], most)
	}
	return slices.Compact(values)
}

func joinedWords(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}

func (p *page) rest() {
	p.section("users:", "")
	p.line("  target: 1000", "YOUR NUMBER: how many users it must carry")
	p.line("  ramp: 1m", "from none to all of them")
	p.line("  hold: 30s", "then all of them stay")
	p.line("  wait: {constant: 1s}", "between an answer and a user's next request")
	p.section("objective: {errors: 1%, p99: 1s}", "what must hold in every second; also p50, p90, p95, p99.9, goodput")
	p.section("search: {preset: quick}", "a first look: one ramp a cell")
	p.line("# search: {preset: standard}", "holds prove where each cell fails")
	p.line("# search: {preset: certify}", "and fresh starts that the answer is the least")
}

// yaml returns a text as a scalar of YAML that stands anywhere on a line and
// that isn't taken for a variable of the environment.
func yaml(text string) string {
	text = strings.ReplaceAll(text, "${", "$${")
	if isPlain(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// isPlain reports whether a text is itself without quotes: a word, and neither
// number nor truth value.
func isPlain(text string) bool {
	if text == "" || slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan"}, strings.ToLower(text)) {
		return false
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return strings.ContainsRune(letters+"/", rune(text[0])) && strings.Trim(text, letters+"0123456789/._-") == ""
}
