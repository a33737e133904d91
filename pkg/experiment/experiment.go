// Package experiment is what is asked: the service, the request, the matrix
// of limits, the users, the objective. It reads experiment files strictly and
// knows nothing of how the question is answered.
//
// It is pure: text in, values out; no files, no clock, no network.
package experiment

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Version is the version of the experiment file that this package reads.
const Version = 1

// Experiment is one question: which of these limits carry these users within
// this objective? The zero value is not useful; see [Parse].
type Experiment struct {
	Version   int       `yaml:"version" required:"true" doc:"the version of this file's format: 1"`
	Name      string    `yaml:"name" required:"true" doc:"names the experiment, and its folder among the results"`
	Service   Service   `yaml:"service" required:"true" doc:"the service under test; exactly one of image, build, compose, container"`
	Request   Request   `yaml:"request,omitempty" doc:"what each user asks; with a locustfile that says it"`
	Matrix    Matrix    `yaml:"matrix" required:"true" doc:"the limits to try: two axes, or a list of cells"`
	Users     Users     `yaml:"users" required:"true" doc:"the load: how many users, how fast they come, how long they wait; or how many requests a second"`
	Objective Objective `yaml:"objective,omitempty" doc:"what must hold in every window; without it: errors 1%, p99 1s"`
	Search    Search    `yaml:"search" doc:"which trials to run"`
	Price     Price     `yaml:"price" doc:"what an hour of each resource costs; only their ratio matters for the answer"`
	Generator Generator `yaml:"generator" doc:"what makes the load: native, or a Locust cluster"`
	Placement Placement `yaml:"placement,omitempty" doc:"where service and generator run: on any cores of one host (shared, the default); each on cores of its own, where the host has enough (separate), so that a service may see fewer CPUs; or on machines of their own (swarm)"`

	secrets map[string]string // what Values took from the environment, by name
}

// Service says what is under test and when it is ready.
type Service struct {
	Image     string           `yaml:"image,omitempty" doc:"an image that the engine has; matrix.image tries several"`
	Build     *Build           `yaml:"build,omitempty" doc:"an image to build first"`
	Compose   *Compose         `yaml:"compose,omitempty" doc:"a service of a Compose project"`
	Container string           `yaml:"container,omitempty" doc:"a running container, by name, id, or labels such as com.docker.compose.service=api; put back exactly as it was"`
	Port      int              `yaml:"port" required:"true" doc:"the port that the service listens on, inside its container"`
	Env       map[string]Value `yaml:"env,omitempty" keep:"cpus,memory_bytes" doc:"environment of the service; ${cpus} and ${memory_bytes} are its limits"`
	Ready     Ready            `yaml:"ready,omitempty" doc:"when the service counts as started"`
}

// Build makes the service's image from a folder.
type Build struct {
	Context    string           `yaml:"context" required:"true" doc:"the folder to build"`
	Dockerfile string           `yaml:"dockerfile,omitempty" doc:"its Dockerfile, if not Dockerfile"`
	Args       map[string]Value `yaml:"args,omitempty" doc:"build arguments"`
	Target     string           `yaml:"target,omitempty" doc:"the stage to build"`
}

// Compose names a service of a Compose project. Paths are relative to the
// experiment file.
type Compose struct {
	File     string   `yaml:"file,omitempty" doc:"the Compose file, or the folder that has a compose.yaml"`
	Files    []string `yaml:"files,omitempty" doc:"or several Compose files, which are merged"`
	Service  string   `yaml:"service" required:"true" doc:"the service in it that is under test"`
	Project  string   `yaml:"project,omitempty" doc:"the project's name; default: as docker compose names it"`
	Profiles []string `yaml:"profiles,omitempty" doc:"the profiles that are active; default: those of COMPOSE_PROFILES"`
}

// Paths returns the project's files.
func (c Compose) Paths() []string {
	if c.File != "" {
		return []string{c.File}
	}
	return c.Files
}

// Ready is the service's sign of life: a status of 200 to 399 on Path, three
// times running, within Within of its start.
type Ready struct {
	Path   string   `yaml:"path,omitempty" doc:"asked with GET until it answers 2xx or 3xx; default: the port accepts connections"`
	Within Duration `yaml:"within" doc:"how long the service may take to start; default 60s"`
}

// Request is what each user sends, and what counts as an answer. Where there is
// a feed, Path, Headers and Body are templates; see [ParseTemplate].
type Request struct {
	Method      string           `yaml:"method" doc:"default GET, or POST where there is a body"`
	Path        string           `yaml:"path" required:"true" doc:"path and query, beginning with /; {{name}} is a field of the feed, percent-encoded"`
	Headers     map[string]Value `yaml:"headers,omitempty" doc:"headers to send; {{name}} is a field of the feed"`
	Body        Value            `yaml:"body,omitempty" doc:"the body to send; {{name}} is a field of the feed as it is, {{json name}} the same as JSON, a text with its quotes"`
	BodyFile    string           `yaml:"body_file,omitempty" doc:"a file with the body to send"`
	Feed        *Feed            `yaml:"feed,omitempty" doc:"a file with a row for each request, which fills the {{name}} of path, headers and body"`
	Connections string           `yaml:"connections" enum:"keep-alive,fresh" doc:"whether a user keeps its connection (keep-alive, the default), or opens one for each request (fresh)"`
	Protocol    string           `yaml:"protocol" enum:"http,https,h2c" doc:"http: HTTP/1.1, the default; https: HTTP/2 where the service offers it; h2c: HTTP/2 without TLS"`
	Insecure    bool             `yaml:"insecure,omitempty" doc:"with https: take any certificate; default false"`
	Timeout     Duration         `yaml:"timeout" doc:"an answer that takes longer is an error; default 10s"`
	Expect      Expect           `yaml:"expect,omitempty" doc:"what counts as an answer"`
}

// What Request.Connections, Request.Protocol and Feed.Order may be. The first
// of each is the default.
const (
	KeepAlive  = "keep-alive"
	Fresh      = "fresh"
	HTTP       = "http"
	HTTPS      = "https"
	H2C        = "h2c"
	Sequential = "sequential"
	Random     = "random"
)

// Feed is a file with a row for each request: JSON lines, or CSV with a header
// line. Where no template uses a field of it, each JSON line is a body. After
// the last row comes the first one again.
type Feed struct {
	File   string `yaml:"file" required:"true" doc:"one JSON value a line (.jsonl, .ndjson), or CSV with a header line (.csv)"`
	Order  string `yaml:"order" enum:"sequential,random" doc:"how requests take rows: one after another over all users (sequential, the default), or any (random)"`
	SHA256 string `yaml:"sha256,omitempty" doc:"what the file's SHA-256 must be; recorded with every run"`

	content []byte
}

// maxFeed is the largest feed or locustfile, in bytes: the generator holds it in
// memory.
const maxFeed = 32 << 20

// Take keeps what is in the feed's file, and makes it part of the question by
// its SHA256. The error is that it is another file than SHA256 says, or too
// large.
func (f *Feed) Take(content []byte) error {
	sum, err := taken(content, f.SHA256, "request.feed.sha256")
	if err != nil {
		return err
	}
	f.SHA256, f.content = sum, content
	return nil
}

// taken returns the SHA-256 of a file's content, in hexadecimal. The error is
// that it is another than what a key of the experiment says, or too large.
func taken(content []byte, said, key string) (string, error) {
	if len(content) > maxFeed {
		return "", fmt.Errorf("is larger than %d MiB", maxFeed>>20)
	}
	sum := sha256.Sum256(content)
	got := hex.EncodeToString(sum[:])
	if said != "" && !strings.EqualFold(said, got) {
		return "", fmt.Errorf("has the SHA-256 %s, not the one that %s says", got, key)
	}
	return got, nil
}

// Content returns what [Feed.Take] took.
func (f *Feed) Content() []byte { return f.content }

// Expect says what a right answer is.
type Expect struct {
	Status   []int  `yaml:"status" doc:"the right statuses; default 200"`
	Contains string `yaml:"contains,omitempty" doc:"text that the body of a right answer has in it"`
}

// Matrix is the set of limits to try.
type Matrix struct {
	CPUs   []CPUs  `yaml:"cpus,omitempty" doc:"one axis: numbers of CPUs"`
	Memory []Bytes `yaml:"memory,omitempty" doc:"the other axis: amounts of memory, as Docker reads them: 200M is 200 MiB"`

	// Further axes: every one of their settings is tried at all limits.
	Env    map[string][]string `yaml:"env,omitempty" keep:"cpus,memory_bytes" doc:"values of the service's environment to try, each in every cell; they are recorded, so no secrets"`
	Images []string            `yaml:"image,omitempty" doc:"images to try, each in every cell; instead of service.image"`

	Exclude []Limits `yaml:"exclude,omitempty" doc:"cells of the axes to leave out; without env and image: with every setting"`
	List    []Limits `yaml:"cells,omitempty" doc:"instead of axes: the cells themselves"`
}

// Cells returns every cell once, ordered by CPUs, then memory, then setting.
func (m Matrix) Cells() []Limits {
	cells := slices.Clone(m.List)
	settings := m.settings()
	for _, c := range m.CPUs {
		for _, b := range m.Memory {
			for _, s := range settings {
				l := Limits{CPU: c, Memory: b, Env: s.Env, Image: s.Image}
				if !slices.ContainsFunc(m.Exclude, l.matches) {
					cells = append(cells, l)
				}
			}
		}
	}
	slices.SortFunc(cells, Limits.Compare)
	return slices.Compact(cells)
}

// Users is the load: so many users, each of whom waits for its answer before
// it asks again, or, where there is a Rate, so many requests a second, whatever
// becomes of those before (open load). A file has exactly one of Target and
// Rate, and exactly one of RampOver, Stages and Stairs.
type Users struct {
	Target   int      `yaml:"target,omitempty" unless:"Rate" doc:"how many users a viable configuration must carry"`
	Rate     *Rate    `yaml:"rate,omitempty" doc:"instead of target: how many requests a second it must carry, such as 500/s; nobody waits for an answer"`
	RampOver Duration `yaml:"ramp,omitempty" doc:"how long the way from 0 to the target takes, every user at an instant of its own"`
	Hold     Duration `yaml:"hold,omitempty" doc:"how long the target is held after the ramp; default 30s"`
	Settle   Duration `yaml:"settle" doc:"how long a level settles before it is measured, where a trial of its own holds it; default 10s"`
	Stages   []Stage  `yaml:"stages,omitempty" doc:"instead of ramp and hold: the way to the target in parts"`
	Stairs   *Stairs  `yaml:"stairs,omitempty" doc:"instead of ramp and hold: the way to the target in equal steps, each of which is held"`
	Wait     Wait     `yaml:"wait,omitempty" doc:"how long a user waits between an answer and its next request; default constant 1s; with rate there is none"`
	From     string   `yaml:"from" enum:"service,network,host" doc:"where the load comes from: inside the service's network namespace (service, the default), beside it on its network, or this process on the host"`
}

// What Users.From may be. The first is the default.
const (
	FromService = "service"
	FromNetwork = "network"
	FromHost    = "host"
)

// Stairs climb to the target step by step.
type Stairs struct {
	Step int      `yaml:"step" required:"true" doc:"how many users (with rate: requests a second) each step adds; the last one may be smaller"`
	Hold Duration `yaml:"hold" doc:"how long each step is held; default 30s"`
	Over Duration `yaml:"over" doc:"how long the way to each step takes, also to the first; default 5s, so that a step is no burst"`
	From int      `yaml:"from" doc:"the height of the first step; default the step"`
}

// Open reports whether the load is requests a second. Then the numbers of its
// Ramp, and Target, are that, and there is no Wait.
func (u Users) Open() bool { return u.Rate != nil }

// Unit returns what the load is counted in: "users" or "requests/s".
func (u Users) Unit() string {
	if u.Open() {
		return "requests/s"
	}
	return "users"
}

// Ramp returns the shape of the load.
func (u Users) Ramp() Ramp {
	switch {
	case len(u.Stages) > 0:
		return u.Stages
	case u.Stairs != nil:
		return u.Stairs.to(u.Target)
	default:
		return Ramp{{Users: u.Target, Over: u.RampOver, Hold: u.Hold}}
	}
}

// steps returns how many steps there are up to target.
func (s Stairs) steps(target int) int { return 1 + (target-s.From+s.Step-1)/s.Step }

func (s Stairs) to(target int) Ramp {
	var r Ramp
	for i := range s.steps(target) {
		r = append(r, Stage{Users: min(s.From+i*s.Step, target), Over: s.Over, Hold: s.Hold})
	}
	return r
}

// Wait is how long a user waits before its next request. Exactly one field is
// set; the names and meanings are Locust's.
type Wait struct {
	Constant *Duration  `yaml:"constant,omitempty" doc:"always this long after an answer"`
	Between  []Duration `yaml:"between,omitempty" doc:"a uniformly random time from the first to the second"`
	Pacing   *Duration  `yaml:"pacing,omitempty" doc:"a request begins this long after the one before it began, or at once where the answer took longer"`
}

// Next returns when a user is due again, given when its last request was due
// and done, and a random number from 0 up to 1.
func (w Wait) Next(due, done time.Duration, random float64) time.Duration {
	switch {
	case w.Pacing != nil:
		return max(due+w.Pacing.Std(), done)
	case len(w.Between) == 2:
		low, high := w.Between[0].Std(), w.Between[1].Std()
		return done + low + time.Duration(random*float64(high-low))
	case w.Constant != nil:
		return done + w.Constant.Std()
	default:
		return done
	}
}

// Mean returns the mean wait. With pacing it is the time between two requests.
func (w Wait) Mean() time.Duration { return w.Next(0, 0, 0.5) }

// Longest returns the longest wait between an answer and the next request.
func (w Wait) Longest() time.Duration { return w.Next(0, 0, 1) }

// Objective is what must hold in every window. A field that is nil is not
// asked for. A service that is dead never meets it.
type Objective struct {
	Errors  *Share    `yaml:"errors,omitempty" doc:"the most requests that may fail"`
	P50     *Duration `yaml:"p50,omitempty" doc:"the median response time"`
	P90     *Duration `yaml:"p90,omitempty" doc:"the 90th percentile of response times"`
	P95     *Duration `yaml:"p95,omitempty" doc:"the 95th percentile of response times"`
	P99     *Duration `yaml:"p99,omitempty" doc:"the 99th percentile of response times"`
	P999    *Duration `yaml:"p99.9,omitempty" doc:"the 99.9th percentile of response times"`
	Goodput *Share    `yaml:"goodput,omitempty" doc:"the least share of the demanded rate (users / wait, or rate) that is answered rightly"`
}

// DefaultObjective is what must hold where a file doesn't say: errors at most
// 1 %, 99 % of responses within a second.
func DefaultObjective() Objective {
	errors, p99 := Share(0.01), Duration(time.Second)
	return Objective{Errors: &errors, P99: &p99}
}

// Quantile is a bound on one quantile of the response times.
type Quantile struct {
	Name  string  // as in the file: "p99.9"
	Q     float64 // 0.999
	Limit time.Duration
}

// Quantiles returns the bounds on response times that are asked for, from the
// lowest quantile to the highest.
func (o Objective) Quantiles() []Quantile {
	var qs []Quantile
	for _, q := range []struct {
		name  string
		q     float64
		limit *Duration
	}{{"p50", 0.5, o.P50}, {"p90", 0.9, o.P90}, {"p95", 0.95, o.P95}, {"p99", 0.99, o.P99}, {"p99.9", 0.999, o.P999}} {
		if q.limit != nil {
			qs = append(qs, Quantile{Name: q.name, Q: q.q, Limit: q.limit.Std()})
		}
	}
	return qs
}

// String returns the objective in words: "p99 <= 1s, errors <= 1%".
func (o Objective) String() string {
	var parts []string
	for _, q := range o.Quantiles() {
		parts = append(parts, q.Name+" <= "+Duration(q.Limit).String())
	}
	if o.Errors != nil {
		parts = append(parts, "errors <= "+o.Errors.String())
	}
	if o.Goodput != nil {
		parts = append(parts, "goodput >= "+o.Goodput.String())
	}
	return strings.Join(parts, ", ")
}

// Search says which trials to run.
type Search struct {
	Strategy  string `yaml:"strategy" enum:"exhaustive,frontier" doc:"exhaustive: every cell; frontier: as few cells as show the cheapest that carries the load"`
	Preset    string `yaml:"preset" enum:"quick,standard,certify" doc:"quick: what a ramp finds; standard, the default: holds prove where each cell fails; certify: that the answer is the least is shown on three fresh starts too"`
	Precision Share  `yaml:"precision" doc:"how far the last level that held may be below the first that didn't, as a share of it; default 5%"`
	Repeats   int    `yaml:"repeats" doc:"fresh starts, the majority of which decides: of each cell with quick, else of each level that is held; default 1"`
	Seed      int64  `yaml:"seed" doc:"makes random choices repeatable, such as the order of trials; default 1"`
}

// What Search.Preset may be.
const (
	Quick    = "quick"
	Standard = "standard"
	Certify  = "certify"
)

// Holds reports whether what a ramp finds is proved by holds.
func (s Search) Holds() bool { return s.Preset == Standard || s.Preset == Certify }

// Price is what an hour of each resource costs, in dollars.
type Price struct {
	CPUHour float64 `yaml:"cpu_hour" doc:"one CPU for an hour; default 0.04048"`
	GiBHour float64 `yaml:"gib_hour" doc:"one GiB of memory for an hour; default 0.004445"`
}

// DefaultPrice is what an hour costs where a file doesn't say.
func DefaultPrice() Price { return Price{CPUHour: 0.04048, GiBHour: 0.004445} }

// Source says whose price p is, or nothing where it is the file's own.
func (p Price) Source() string {
	if p == DefaultPrice() {
		return "AWS Fargate list price, us-east-1, Linux/x86, June 2026"
	}
	return ""
}

// Of returns what an hour of l costs.
func (p Price) Of(l Limits) float64 {
	return p.CPUHour*l.CPU.Float() + p.GiBHour*float64(l.Memory)/float64(GiB)
}

// Generator says what makes the load. In a file it is "native" or {locust: ...}.
type Generator struct {
	Locust *Locust `yaml:"locust,omitempty" doc:"a Locust cluster that runs a locustfile"`
}

// Blur returns over how much time, at most, the generator's word of how long
// requests took is spread: 0 where it tells of every second. Locust's workers
// tell their master every three seconds, and its page of the last ten, two
// seconds late at most.
func (g Generator) Blur() time.Duration {
	switch {
	case g.Locust == nil:
		return 0
	case g.Locust.URL != "":
		return 12 * time.Second
	default:
		return 3 * time.Second
	}
}

// UnmarshalText reads "native", the generator that is built in.
func (g *Generator) UnmarshalText(text []byte) error {
	if string(text) != "native" {
		return fmt.Errorf("%q is not a generator; write native or {locust: {file: locustfile.py}}", text)
	}
	*g = Generator{}
	return nil
}

// Locust is a locustfile with the workers that run it, which sweep starts, or a
// cluster that somebody else runs, by the URL of its page. A file has exactly
// one of File and URL.
type Locust struct {
	File    string `yaml:"file,omitempty" doc:"the locustfile"`
	Workers int    `yaml:"workers,omitempty" doc:"with file: how many worker processes, each of which can use one core; default 1"`
	Image   string `yaml:"image,omitempty" doc:"with file: an image whose entrypoint is Locust 2, such as locustio/locust; default sweep/locust:dev, which make locust builds"`
	SHA256  string `yaml:"sha256,omitempty" doc:"with file: what its SHA-256 must be; recorded with every run"`
	URL     string `yaml:"url,omitempty" doc:"instead of file: the page of a Locust master that runs already, such as http://master:8089"`
	Auth    Value  `yaml:"auth,omitempty" doc:"with url: user:password of the page, from the environment, such as ${LOCUST_AUTH}"`
	Host    string `yaml:"host,omitempty" doc:"with url: where its workers find the service, such as http://api:8000; default: by the address of its container"`

	content []byte
}

// LocustImage is the image of Locust where a file names none.
const LocustImage = "sweep/locust:dev"

// Take keeps what is in the locustfile, and makes it part of the question by its
// SHA256. The error is that it is another file than SHA256 says, or too large.
func (l *Locust) Take(content []byte) error {
	sum, err := taken(content, l.SHA256, "generator.locust.sha256")
	if err != nil {
		return err
	}
	l.SHA256, l.content = sum, content
	return nil
}

// Content returns what [Locust.Take] took.
func (l *Locust) Content() []byte { return l.content }

// Placement says where service and generator run: both on any cores of the
// engine's host, which is the zero value, each on cores of its own, or each on
// machines of their own. In a file it is "shared", "separate" or {swarm: ...}.
type Placement struct {
	Swarm *Swarm `yaml:"swarm,omitempty" doc:"the load comes from other nodes of the Docker Swarm of which the engine is a manager"`

	separate bool
}

// The Placements on one host.
const (
	shared   = "shared"
	separate = "separate"
)

// Separate reports whether service and generator run on cores of their own.
func (p Placement) Separate() bool { return p.separate }

// UnmarshalText reads a Placement on one host.
func (p *Placement) UnmarshalText(text []byte) error {
	if s := string(text); s != shared && s != separate {
		return fmt.Errorf("%q is not a placement; write %s, %s or {swarm: {agents: 4}}", s, shared, separate)
	}
	*p = Placement{separate: string(text) == separate}
	return nil
}

// Swarm says on which nodes of a Docker Swarm the load is made, and by how many.
// Those that run the service aren't among them.
type Swarm struct {
	Agents     int    `yaml:"agents,omitempty" doc:"how many agents play the users, spread over the nodes; default 1. Of Locust it is generator.locust.workers"`
	Constraint string `yaml:"constraint,omitempty" doc:"which nodes, as docker service create --constraint has it, such as node.labels.sweep==load; default: all but the one that runs the service, which never is among them"`
	Image      string `yaml:"image,omitempty" doc:"an image of this version of sweep, which the nodes have or can pull; default sweep, as make image builds it"`
}

// AgentImage is the image of agents on other machines where a file names none.
const AgentImage = "sweep"

// Value is text of the file that may name environment variables, ${TOKEN}. It
// is sent as it resolved, but recorded as it was written, so that what the
// environment holds doesn't reach results, logs or pages.
type Value struct {
	Written  string
	Resolved string
}

// MarshalText writes v as it was written.
func (v Value) MarshalText() ([]byte, error) { return []byte(v.Written), nil }

// Literal returns text as a value in which nothing stands for a variable.
func Literal(text string) Value {
	return Value{Written: strings.ReplaceAll(text, "${", "$${"), Resolved: text}
}

// IsZero reports whether there is no text.
func (v Value) IsZero() bool { return v.Written == "" }

// Under returns v with ${cpus} and ${memory_bytes} replaced by the limits, also
// where they were written $${cpus}: these two can't be said literally.
func (v Value) Under(l Limits) string { return under(v.Resolved, l) }

func under(text string, l Limits) string {
	return strings.NewReplacer("${cpus}", l.CPU.String(), "${memory_bytes}", strconv.FormatInt(int64(l.Memory), 10)).Replace(text)
}
