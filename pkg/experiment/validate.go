package experiment

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds that keep an experiment within what one machine can hold and one
// person can wait for.
const (
	maxUsers  = 1_000_000
	maxCells  = 10_000
	maxLength = 7 * 24 * time.Hour
	maxSettle = time.Hour
	maxSteps  = 1000
	maxStarts = 1000 // of a cell
	maxName   = 64

	maxWorkers = 100 // of Locust
	maxAgents  = 100 // on other machines: so many were measured

	minPrecision = 0.005 // under it a service's own unevenness decides
	maxPrecision = 0.5

	maxBody = 1 << 20 // of a body_file, in bytes
)

// check fills in the defaults of e and reports what can't be meant. What could
// not be decoded is not reported again.
func (d *decoder) check(e *Experiment) {
	if d.bad[""] {
		return
	}
	d.demand(e.Version == Version, "version", "is %d, but must be %d", e.Version, Version)
	d.demand(isName(e.Name), "name", "%q can't name a folder; write at most %d of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit", e.Name, maxName)
	d.checkService(&e.Service)
	d.checkAsked(e)
	d.checkMatrix(e.Matrix)
	d.checkSettings(e.Service, e.Matrix)
	d.checkUsers(&e.Users, e.Generator.Locust != nil || e.Placement.Swarm != nil)
	d.checkObjective(e)
	d.checkSearch(&e.Search)
	d.checkPrice(&e.Price)
	if e.Generator.Locust != nil {
		d.checkLocust(e)
	}
	if e.Placement.Swarm != nil {
		d.checkSwarm(e)
	}
}

// demand reports a fault at path unless ok, or unless path, something around it
// or an element of it could not be decoded, so that ok means nothing.
func (d *decoder) demand(ok bool, path, format string, args ...any) {
	if ok || !d.sound(path) {
		return
	}
	d.faults = append(d.faults, Fault{d.where(path), path, fmt.Sprintf(format, args...)})
}

// sound reports whether path, all around it and all elements of it could be
// decoded.
func (d *decoder) sound(path string) bool {
	if d.bad[path+"[]"] {
		return false
	}
	for path != "" {
		if d.bad[path] {
			return false
		}
		path = parent(path)
	}
	return true
}

// otherwise sets a field whose path the file doesn't have.
func otherwise[T any](d *decoder, path string, field *T, value T) {
	if !d.given(path) {
		*field = value
	}
}

// oneOf demands that the file has exactly one of the keys at path, or at most
// one if none is allowed.
func (d *decoder) oneOf(path string, none bool, keys ...string) {
	given := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !d.given(join(path, key)) })
	names := strings.Join(keys, ", ")
	switch {
	case len(given) > 1:
		d.demand(false, path, "has %s, but takes only one of %s", strings.Join(given, " and "), names)
	case len(given) == 0 && !none:
		d.demand(false, path, "needs one of %s", names)
	}
}

func (d *decoder) checkService(s *Service) {
	d.oneOf("service", d.hasImages(), "image", "build", "compose", "container")
	d.demand(s.Image != "" || !d.given("service.image"), "service.image", "is empty")
	d.demand(s.Build == nil || s.Build.Context != "" || !d.given("service.build.context"), "service.build.context", "is empty")
	d.demand(s.Container != "" || !d.given("service.container"), "service.container", "is empty")
	if c := s.Compose; c != nil {
		d.checkCompose(*c)
	}
	d.demand(s.Port >= 1 && s.Port <= 65535, "service.port", "%d is not a port; write one from 1 to 65535", s.Port)
	for name := range s.Env {
		d.checkVariable("service.env."+name, name)
	}
	otherwise(d, "service.ready.within", &s.Ready.Within, Duration(time.Minute))
	d.demand(s.Ready.Within > 0, "service.ready.within", "must be more than 0")
	if d.given("service.ready.path") {
		d.checkURLPath("service.ready.path", s.Ready.Path)
	}
}

func (d *decoder) checkCompose(c Compose) {
	d.oneOf("service.compose", false, "file", "files")
	d.demand(c.File != "" || !d.given("service.compose.file"), "service.compose.file", "is empty")
	d.demand(len(c.Files) > 0 || !d.given("service.compose.files"), "service.compose.files", "is empty")
	d.demand(!slices.Contains(c.Files, ""), "service.compose.files", "has an empty name in it")
	d.demand(c.Service != "" || !d.given("service.compose.service"), "service.compose.service", "is empty")
}

func (d *decoder) checkVariable(path, name string) {
	d.demand(isVariable(strings.NewReplacer(".", "_", "-", "_").Replace(name)), path, "%q can't name an environment variable", name)
}

// checkAsked checks what users ask: the request, unless a locustfile says it.
func (d *decoder) checkAsked(e *Experiment) {
	switch locust, given := e.Generator.Locust != nil, d.given("request"); {
	case locust:
		d.demand(!given, "request", "doesn't go with generator.locust: the locustfile says what users ask")
	case !given:
		d.fault("request", "is missing: what each user asks")
	default:
		d.checkRequest(&e.Request)
	}
}

// checkLocust checks what makes a load by Locust, and what such a load can't do.
func (d *decoder) checkLocust(e *Experiment) {
	const at = "generator.locust"
	l := e.Generator.Locust
	d.oneOf(at, false, "file", "url")
	only := func(key, other string) {
		d.demand(!d.given(join(at, key)) || !d.given(join(at, other)), join(at, key), "doesn't go with %s", other)
	}
	for _, key := range []string{"workers", "image", "sha256"} {
		only(key, "url")
	}
	only("auth", "file")
	only("host", "file")
	d.demand(!e.Users.Open(), "users.rate", "doesn't go with generator.locust, which plays users; write target")
	d.demand(d.given("users.wait") || e.Users.Open(), "users", "needs wait with generator.locust: the wait_time of the locustfile, or the longest that a user goes without a request")
	if l.URL == "" {
		d.demand(l.File != "" || !d.given(at+".file"), at+".file", "is empty")
		otherwise(d, at+".workers", &l.Workers, 1)
		d.demand(l.Workers >= 1 && l.Workers <= maxWorkers, at+".workers", "is %d, but must be from 1 to %d", l.Workers, maxWorkers)
		otherwise(d, at+".image", &l.Image, LocustImage)
		d.demand(l.Image != "", at+".image", "is empty")
		sum, err := hex.DecodeString(l.SHA256)
		d.demand(err == nil && len(sum) == sha256.Size || !d.given(at+".sha256"), at+".sha256", "is not a SHA-256; write 64 hexadecimal digits")
		d.demand(e.Users.From == FromNetwork, "users.from", "is %s, but Locust's workers, which are there for longer than a start of the service, load it from its network; write network", e.Users.From)
		return
	}
	d.demand(e.Users.From != FromService, "users.from", "is service, but a Locust cluster is elsewhere; write network or host")
	d.checkURL(at+".url", l.URL)
	if d.given(at + ".host") {
		d.checkURL(at+".host", l.Host)
	}
	d.demand(!d.given(at+".auth") || strings.Contains(l.Auth.Resolved, ":") || l.Auth.Resolved == "", at+".auth", "is not user:password")
	d.demand(!d.given(at+".auth") || strings.Contains(l.Auth.Written, "${"), at+".auth", "stands in the file, and would be recorded; write ${LOCUST_AUTH} and set that variable")
	for _, q := range e.Objective.Quantiles() {
		key := "objective"
		if d.given("objective." + q.Name) {
			key = "objective." + q.Name
		}
		d.demand(q.Name == "p50" || q.Name == "p95", key, "asks for %s, but the page of a Locust master tells only p50 and p95 of what has just been", q.Name)
	}
}

// checkSwarm checks what makes the load on other machines.
func (d *decoder) checkSwarm(e *Experiment) {
	const at = "placement.swarm"
	s := e.Placement.Swarm
	d.demand(!d.given(at+".constraint") || isConstraint(s.Constraint), at+".constraint", "%q is not a constraint; write one such as node.labels.sweep==load", s.Constraint)
	d.demand(e.Users.From == FromNetwork, "users.from", "is %s, but from other machines the load comes over a network; write network", e.Users.From)
	if l := e.Generator.Locust; l != nil {
		d.demand(l.URL == "", at, "doesn't go with generator.locust.url: that cluster is where it is")
		d.demand(!d.given(at+".agents"), at+".agents", "doesn't go with generator.locust: its workers are what is placed; write generator.locust.workers")
		d.demand(!d.given(at+".image"), at+".image", "doesn't go with generator.locust: its workers are what is placed; write generator.locust.image")
		return
	}
	otherwise(d, at+".agents", &s.Agents, 1)
	d.demand(s.Agents >= 1 && s.Agents <= maxAgents, at+".agents", "is %d, but must be from 1 to %d", s.Agents, maxAgents)
	otherwise(d, at+".image", &s.Image, AgentImage)
	d.demand(s.Image != "", at+".image", "is empty")
}

// isConstraint reports whether text is a constraint as Swarm has them.
func isConstraint(text string) bool {
	key, value, ok := strings.Cut(text, "==")
	if !ok {
		key, value, ok = strings.Cut(text, "!=")
	}
	return ok && strings.TrimSpace(key) != "" && strings.TrimSpace(value) != ""
}

func (d *decoder) checkURL(path, text string) {
	u, err := url.Parse(text)
	d.demand(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", path, "%q is not a URL; write one such as http://master:8089", text)
	d.demand(err != nil || u.User == nil, path, "has a password in it, which would be recorded; write auth")
}

func (d *decoder) checkRequest(r *Request) {
	d.checkPath(*r)
	d.oneOf("request", true, "body", "body_file")
	hasBody := d.given("request.body") || d.given("request.body_file")
	if r.Feed != nil {
		// Where no field of it is used, its lines are bodies.
		hasBody = hasBody || !r.fieldsInHead()
		d.checkFeed(*r)
	}
	method := "GET"
	if hasBody {
		method = "POST"
	}
	otherwise(d, "request.method", &r.Method, method)
	d.demand(isToken(r.Method) && r.Method == strings.ToUpper(r.Method), "request.method", "%q is not a method; write one such as GET or POST", r.Method)
	d.checkHeaders(r.Headers)
	d.demand(r.BodyFile != "" || !d.given("request.body_file"), "request.body_file", "is empty")
	otherwise(d, "request.connections", &r.Connections, KeepAlive)
	otherwise(d, "request.protocol", &r.Protocol, HTTP)
	d.demand(!r.Insecure || r.Protocol == HTTPS, "request.insecure", "belongs to https: with %s there is no certificate", r.Protocol)
	otherwise(d, "request.timeout", &r.Timeout, Duration(10*time.Second))
	d.demand(r.Timeout > 0, "request.timeout", "must be more than 0")
	otherwise(d, "request.expect.status", &r.Expect.Status, []int{200})
	d.demand(len(r.Expect.Status) > 0, "request.expect.status", "is empty; write the statuses of a right answer, such as [200]")
	for i, status := range r.Expect.Status {
		d.demand(status >= 100 && status <= 599, fmt.Sprintf("request.expect.status[%d]", i), "%d is not a status; write one from 100 to 599", status)
	}
}

// TakeBody makes what is in the body's file part of the question, wherever it
// came from. The error is that it couldn't be read again as it is once it were
// recorded: YAML has no form for bytes that are no text.
func (r *Request) TakeBody(content []byte) error {
	if len(content) > maxBody {
		return fmt.Errorf("is larger than %d MiB; ask with a smaller body", maxBody>>20)
	}
	if !utf8.Valid(content) {
		return errors.New("is not text in UTF-8, and no other can be recorded; write it as the service also takes it, such as in base64")
	}
	r.BodyFile, r.Body = "", Literal(string(content))
	return nil
}

// checkPath checks the path of a request, without what the feed fills in.
func (d *decoder) checkPath(r Request) {
	if r.Feed == nil {
		d.checkURLPath("request.path", r.Path)
		d.demand(!hasHoles(r.Path), "request.path", "has a {{field}}, but there is no request.feed to fill it")
		return
	}
	pieces, err := ParseTemplate(r.Path)
	if err != nil {
		return // a fault of the feed
	}
	var around strings.Builder
	for _, p := range pieces {
		around.WriteString(p.Text)
		if p.Field != "" {
			around.WriteString("{{}}")
		}
	}
	d.checkURLPath("request.path", around.String())
}

// checkHeaders checks the names and values of headers.
func (d *decoder) checkHeaders(headers map[string]Value) {
	first := map[string]string{} // by the lower-case name
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		path, lower := join("request.headers", name), strings.ToLower(name)
		d.demand(isToken(name), path, "%q is not the name of a header", name)
		d.demand(lower != "content-length" && lower != "transfer-encoding", path, "is written by sweep itself, as the body needs it")
		d.demand(first[lower] == "", path, "is the same header as %s", first[lower])
		first[lower] = name
		d.demand(!strings.ContainsFunc(headers[name].Resolved, isControl), path, "must be a single line without control characters")
	}
}

// isControl reports whether a header's value can't have r in it.
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// fieldsInHead reports whether a path or header has a field of the feed in it.
func (r Request) fieldsInHead() bool {
	for _, value := range r.Headers {
		if hasHoles(value.Written) {
			return true
		}
	}
	return hasHoles(r.Path)
}

// checkFeed checks the feed and the templates that it fills: Values as they are
// written, so that what was recorded is found as right as what was asked. What
// rows lack, and the template in a body file, show when they are read.
func (d *decoder) checkFeed(r Request) {
	extension := strings.ToLower(path.Ext(r.Feed.File))
	d.demand(slices.Contains([]string{".jsonl", ".ndjson", ".csv"}, extension), "request.feed.file", "%q must end in .jsonl or .ndjson (one JSON value a line), or in .csv (with a header line)", r.Feed.File)
	otherwise(d, "request.feed.order", &r.Feed.Order, Sequential)
	sum, err := hex.DecodeString(r.Feed.SHA256)
	d.demand(err == nil && len(sum) == sha256.Size || !d.given("request.feed.sha256"), "request.feed.sha256", "is not a SHA-256; write 64 hexadecimal digits")
	used := d.checkTemplate("request.path", r.Path)
	for name, value := range r.Headers {
		used = d.checkTemplate(join("request.headers", name), value.Written) || used
	}
	used = d.checkTemplate("request.body", r.Body.Written) || used
	lines := extension != ".csv" && !d.given("request.body")
	d.demand(used || lines || d.given("request.body_file"), "request.feed", "fills nothing; write {{name}}, a field of it, in path, headers or body")
}

// checkTemplate checks a text that a feed fills, and reports whether it may
// have something to fill.
func (d *decoder) checkTemplate(path, text string) bool {
	_, err := ParseTemplate(text)
	if err != nil {
		d.demand(false, path, "%v", err)
	}
	return hasHoles(text)
}

func (d *decoder) checkURLPath(path, s string) {
	d.demand(strings.HasPrefix(s, "/"), path, "%q must begin with /", s)
	d.demand(!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }), path, "%q has a space or control character; write %%20 for a space", s)
}

func (d *decoder) checkMatrix(m Matrix) {
	cpus, memory, list := d.given("matrix.cpus"), d.given("matrix.memory"), d.given("matrix.cells")
	switch {
	case list && (cpus || memory):
		d.demand(false, "matrix", "has both axes and cells; write either cpus and memory, or cells")
		return
	case !list && (!cpus || !memory):
		d.demand(false, "matrix", "needs both cpus and memory, or else cells")
	}
	d.demand(len(m.CPUs) > 0 || !cpus, "matrix.cpus", "is empty; write at least one number of CPUs, such as [0.5, 1]")
	d.demand(len(m.Memory) > 0 || !memory, "matrix.memory", "is empty; write at least one amount of memory, such as [200M, 500M]")
	d.demand(len(m.List) > 0 || !list, "matrix.cells", "is empty; write at least one cell, such as {cpus: 1, memory: 200M}")
	for i, b := range m.Memory {
		d.checkMemory(fmt.Sprintf("matrix.memory[%d]", i), b)
	}
	for i, l := range m.List {
		d.checkMemory(fmt.Sprintf("matrix.cells[%d].memory", i), l.Memory)
	}
	unique(d, "matrix.cpus", m.CPUs)
	unique(d, "matrix.memory", m.Memory)
	unique(d, "matrix.exclude", m.Exclude)
	unique(d, "matrix.cells", m.List)
	switch n, sets := m.size(), m.sets(); {
	case n > maxCells:
		d.demand(false, "matrix", "has %d cells, but at most %d are allowed", n, maxCells)
	case n*(1+sets) > maxCells: // they couldn't be read again: see maxTokens
		d.demand(false, "matrix", "has %d cells of %d settings each, but at most %d such cells are allowed", n, sets, maxCells/(1+sets))
	default:
		d.checkExclude(m)
	}
}

// sets returns how many things each cell of the axes sets besides its limits.
func (m Matrix) sets() int { return len(m.Env) + min(1, len(m.Images)) }

// size returns how many cells the file describes; beyond maxCells it may be any
// greater number.
func (m Matrix) size() int {
	n := len(m.CPUs) * len(m.Memory) * max(1, len(m.Images))
	for _, values := range m.Env {
		n = min(n, maxCells+1) * len(values)
	}
	return n + len(m.List)
}

func (d *decoder) checkMemory(path string, b Bytes) {
	d.demand(b >= MinMemory, path, "%s is under Docker's minimum of %s", b, MinMemory)
}

func (d *decoder) checkExclude(m Matrix) {
	if !d.given("matrix.exclude") || !d.sound("matrix.cpus") || !d.sound("matrix.memory") {
		return
	}
	d.demand(!d.given("matrix.cells"), "matrix.exclude", "takes cells out of two axes; from cells, just remove the line")
	if len(m.CPUs) == 0 || len(m.Memory) == 0 {
		return
	}
	for i, l := range m.Exclude {
		path := fmt.Sprintf("matrix.exclude[%d]", i)
		if d.sound(path+".cpus") && d.sound(path+".memory") {
			d.demand(m.onAxes(l), path, "%s is not a cell of the axes", l)
		}
	}
	d.demand(len(m.Cells()) > 0, "matrix.exclude", "leaves no cell to try")
}

// onAxes reports whether l has a value of each axis that it names.
func (m Matrix) onAxes(l Limits) bool {
	for name, value := range l.Env.Map() {
		if !slices.Contains(m.Env[name], value) {
			return false
		}
	}
	return slices.Contains(m.CPUs, l.CPU) && slices.Contains(m.Memory, l.Memory) && (l.Image == "" || slices.Contains(m.Images, l.Image))
}

// hasImages reports whether the matrix says from which images the service is
// started: an axis of them, or its first cell.
func (d *decoder) hasImages() bool {
	return d.given("matrix.image") || d.given("matrix.cells[0].image")
}

// checkSettings checks what cells set besides their limits.
func (d *decoder) checkSettings(s Service, m Matrix) {
	for _, axis := range []string{"matrix.env", "matrix.image"} {
		d.demand(!d.given(axis) || !d.given("matrix.cells"), axis, "is an axis, and doesn't go with cells; write it into each of them")
	}
	d.demand(len(m.Env) > 0 || !d.given("matrix.env"), "matrix.env", "is empty; write a variable with the values to try, such as {WORKERS: [1, 2]}")
	for name, values := range m.Env {
		path := join("matrix.env", name)
		d.checkSetVariable(s, path, name, values...)
		d.demand(len(values) > 0, path, "is empty; write at least one value, such as [1, 2]")
		unique(d, path, values)
	}
	d.demand(len(m.Images) > 0 || !d.given("matrix.image"), "matrix.image", "is empty; write at least one image")
	unique(d, "matrix.image", m.Images)
	for i, image := range m.Images {
		d.demand(image != "", fmt.Sprintf("matrix.image[%d]", i), "is empty")
	}
	for i, l := range m.List {
		path := fmt.Sprintf("matrix.cells[%d]", i)
		for name, value := range l.Env.sorted {
			d.checkSetVariable(s, path+".env."+name, name, value)
		}
		d.demand(l.Image != "" || !d.hasImages(), path+".image", "is missing or empty; either every cell says its image, or none")
		d.demand(l.Image == "" || d.hasImages(), path+".image", "is one of few; either every cell says its image, or none")
	}
	if d.hasImages() {
		for _, other := range []string{"image", "build", "compose", "container"} {
			d.demand(!d.given("service."+other), "service."+other, "doesn't go with the images of the matrix; write the service's image in one of the two places")
		}
	}
}

// checkSetVariable checks a variable that cells set. What a file says twice would
// mean one of the two in secret.
func (d *decoder) checkSetVariable(s Service, path, name string, values ...string) {
	d.checkVariable(path, name)
	_, twice := s.Env[name]
	d.demand(!twice, path, "is in service.env too; write it in one of the two places")
	for _, value := range values {
		d.demand(!strings.ContainsFunc(value, isControl), path, "must be a single line without control characters: it names a cell")
	}
}

// unique demands that no element of the list at path comes twice.
func unique[T comparable](d *decoder, path string, list []T) {
	first := map[T]bool{}
	for i, v := range list {
		if element := fmt.Sprintf("%s[%d]", path, i); d.sound(element) && d.sound(element+".cpus") && d.sound(element+".memory") {
			d.demand(!first[v], element, "%v is in the list twice", v)
			first[v] = true
		}
	}
}

// checkUsers checks the load. It is from outside where its generator can't be
// inside the service's network namespace.
func (d *decoder) checkUsers(u *Users, outside bool) {
	d.checkTarget(u)
	d.oneOf("users", false, "ramp", "stages", "stairs")
	switch {
	case d.given("users.stages"):
		d.demand(!d.given("users.hold"), "users.hold", "belongs to ramp; give each stage its own hold")
		d.checkStages(u)
	case d.given("users.stairs"):
		d.demand(!d.given("users.hold"), "users.hold", "belongs to ramp; stairs have a hold of their own")
		d.checkStairs(u)
	default:
		d.demand(u.RampOver > 0 || !d.given("users.ramp"), "users.ramp", "must be more than 0")
		otherwise(d, "users.hold", &u.Hold, Duration(30*time.Second))
		d.demand(u.Hold > 0, "users.hold", "must be more than 0: a ramp finds a level, a hold proves it")
	}
	var length float64 // in seconds, because lengths of time can overflow
	for _, s := range u.Ramp() {
		length += s.Over.Std().Seconds() + s.Hold.Std().Seconds()
	}
	d.demand(length <= maxLength.Seconds(), "users", "would last %.0f hours, but at most %.0f are allowed", length/3600, maxLength.Hours())
	otherwise(d, "users.settle", &u.Settle, Duration(10*time.Second))
	d.demand(u.Settle.Std() <= maxSettle, "users.settle", "is %s, but must be at most %s", u.Settle, Duration(maxSettle))
	from := FromService
	if outside {
		from = FromNetwork
	}
	otherwise(d, "users.from", &u.From, from)
	if u.Open() {
		d.demand(!d.given("users.wait"), "users.wait", "belongs to target: with a rate nobody waits for an answer")
		return
	}
	d.checkWait(&u.Wait)
}

func (d *decoder) checkTarget(u *Users) {
	d.oneOf("users", false, "target", "rate")
	key := "users.target"
	if u.Open() {
		key, u.Target = "users.rate", int(*u.Rate)
	}
	d.demand(u.Target >= 1 && u.Target <= maxUsers || !d.given(key), key, "is %d, but must be from 1 to %d", u.Target, maxUsers)
}

func (d *decoder) checkStages(u *Users) {
	d.demand(len(u.Stages) > 0, "users.stages", "is empty; write at least one stage, such as {users: 100, over: 1m}")
	key, other := "users", "rate"
	if u.Open() {
		key, other = other, key
	}
	counted := true
	for i := range u.Stages {
		s, path := &u.Stages[i], fmt.Sprintf("users.stages[%d]", i)
		level := join(path, key)
		if s.Rate != nil {
			s.Users = int(*s.Rate)
		}
		d.demand(!d.given(join(path, other)), join(path, other), "doesn't go with a target in %s; write %s", u.Unit(), key)
		d.demand(d.given(level) || d.given(join(path, other)), level, "is missing: the load at the end of the stage")
		d.demand(s.Users >= 0 && s.Users <= maxUsers || !d.given(level), level, "is %d, but must be from 0 to %d", s.Users, maxUsers)
		if d.sound(path+".over") && d.sound(path+".hold") {
			d.demand(s.Over > 0 || s.Hold > 0, path, "takes no time; give it over, hold or both")
		}
		counted = counted && d.sound(level)
	}
	if peak := u.Ramp().Peak(); counted && len(u.Stages) > 0 && d.sound("users.target") && d.sound("users.rate") {
		d.demand(peak >= u.Target, "users.stages", "never reach the target: their peak is %d of %d %s", peak, u.Target, u.Unit())
	}
}

// checkStairs checks the stairs. Those that can't be climbed are taken away, so
// that nothing else trips over them.
func (d *decoder) checkStairs(u *Users) {
	s := u.Stairs
	otherwise(d, "users.stairs.from", &s.From, s.Step)
	otherwise(d, "users.stairs.over", &s.Over, Duration(5*time.Second))
	otherwise(d, "users.stairs.hold", &s.Hold, Duration(30*time.Second))
	d.demand(s.Hold > 0, "users.stairs.hold", "must be more than 0: a step is a level to prove")
	for _, n := range []struct {
		key   string
		value int
	}{{"users.stairs.step", s.Step}, {"users.stairs.from", s.From}} {
		inside := n.value >= 1 && n.value <= u.Target
		d.demand(inside || !d.given(n.key) || u.Target < 1, n.key, "is %d, but must be from 1 to the target of %d %s", n.value, u.Target, u.Unit())
		if !inside {
			u.Stairs = nil
		}
	}
	if u.Stairs == nil || u.Target > maxUsers {
		u.Stairs = nil
		return
	}
	if n := s.steps(u.Target); n > maxSteps {
		d.demand(false, "users.stairs.step", "makes %d steps, but at most %d are allowed", n, maxSteps)
		u.Stairs = nil
	}
}

func (d *decoder) checkWait(w *Wait) {
	if !d.given("users.wait") {
		second := Duration(time.Second)
		w.Constant = &second
		return
	}
	d.oneOf("users.wait", false, "constant", "between", "pacing")
	if d.given("users.wait.between") {
		d.demand(len(w.Between) == 2, "users.wait.between", "needs two lengths of time, the least and the most, such as [500ms, 2s]")
		d.demand(len(w.Between) != 2 || w.Between[0] <= w.Between[1], "users.wait.between", "begins with the longer time; the first is the least")
	}
}

func (d *decoder) checkObjective(e *Experiment) {
	if e.Objective == (Objective{}) {
		e.Objective = DefaultObjective()
	}
	timeout := e.Request.Timeout
	for _, q := range e.Objective.Quantiles() {
		path, limit := "objective."+q.Name, Duration(q.Limit)
		d.demand(limit > 0, path, "must be more than 0")
		switch {
		case limit <= timeout || timeout <= 0 || !d.sound("request.timeout"):
		case d.given(path):
			d.demand(false, path, "%s can never be breached by an answer, because the timeout is %s: raise request.timeout", limit, timeout)
		default:
			d.demand(false, "request.timeout", "%s is less than the default objective, %s of %s: raise it or write an objective", timeout, q.Name, limit)
		}
	}
	inWait := func(f Fault) bool { return strings.HasPrefix(f.Path, "users.wait") }
	if e.Objective.Goodput != nil && !e.Users.Open() && !slices.ContainsFunc(d.faults, inWait) {
		d.demand(e.Users.Wait.Mean() > 0, "objective.goodput", "needs a wait of more than 0: without one there is no demanded rate")
	}
}

func (d *decoder) checkSearch(s *Search) {
	otherwise(d, "search.strategy", &s.Strategy, "exhaustive")
	otherwise(d, "search.preset", &s.Preset, Standard)
	otherwise(d, "search.precision", &s.Precision, 0.05)
	otherwise(d, "search.repeats", &s.Repeats, 1)
	otherwise(d, "search.seed", &s.Seed, 1)
	d.demand(s.Precision >= minPrecision && s.Precision <= maxPrecision, "search.precision", "is %s, but must be from %s to %s", s.Precision, Share(minPrecision), Share(maxPrecision))
	d.demand(s.Repeats >= 1 && s.Repeats <= maxStarts, "search.repeats", "is %d, but must be from 1 to %d", s.Repeats, maxStarts)
}

func (d *decoder) checkPrice(p *Price) {
	otherwise(d, "price.cpu_hour", &p.CPUHour, DefaultPrice().CPUHour)
	otherwise(d, "price.gib_hour", &p.GiBHour, DefaultPrice().GiBHour)
	d.demand(p.CPUHour >= 0, "price.cpu_hour", "is less than 0")
	d.demand(p.GiBHour >= 0, "price.gib_hour", "is less than 0")
}

// isName reports whether s can be a folder's name on any system and an
// argument on any command line.
func isName(s string) bool {
	return len(s) <= maxName && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == "" && strings.TrimLeft(s, "._-") == s && s != ""
}

// isToken reports whether s is a token of HTTP: a method or a header's name.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
}
