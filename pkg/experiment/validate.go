package experiment

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds that keep an experiment within what one machine can hold and one
// person can wait for.
const (
	maxUsers  = 1_000_000
	maxCells  = 10_000
	maxLength = 7 * 24 * time.Hour
	maxName   = 64
)

// unsupported is what a file may ask for in its final form, but what isn't
// built yet. To build one, delete its line.
var unsupported = []struct { //nolint:gochecknoglobals // a table
	path, value string
	used        func(*Experiment) bool
}{
	{"service.build", "", func(e *Experiment) bool { return e.Service.Build != nil }},
	{"service.compose", "", func(e *Experiment) bool { return e.Service.Compose != nil }},
	{"service.container", "", func(e *Experiment) bool { return e.Service.Container != "" }},
	{"request.feed", "", func(e *Experiment) bool { return e.Request.Feed != nil }},
	{"users.from", "network ", func(e *Experiment) bool { return e.Users.From == "network" }},
	{"users.from", "host ", func(e *Experiment) bool { return e.Users.From == "host" }},
	{"search.strategy", "frontier ", func(e *Experiment) bool { return e.Search.Strategy == "frontier" }},
	{"search.repeats", "more than 1 ", func(e *Experiment) bool { return e.Search.Repeats > 1 }},
	{"generator.locust", "", func(e *Experiment) bool { return e.Generator.Locust != nil }},
}

// check fills in the defaults of e and reports what can't be meant. What could
// not be decoded is not reported again.
func (d *decoder) check(e *Experiment) {
	if d.bad[""] {
		return
	}
	d.demand(e.Version == Version, "version", "is %d, but must be %d", e.Version, Version)
	d.demand(isName(e.Name), "name", "%q can't name a folder; write at most %d of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit", e.Name, maxName)
	d.checkService(&e.Service)
	d.checkRequest(&e.Request)
	d.checkMatrix(e.Matrix)
	d.checkUsers(&e.Users)
	d.checkObjective(e)
	d.checkSearch(&e.Search)
	d.checkPrice(&e.Price)
	if l := e.Generator.Locust; l != nil {
		otherwise(d, "generator.locust.workers", &l.Workers, 1)
		d.demand(l.Workers >= 1, "generator.locust.workers", "is %d, but there must be at least 1", l.Workers)
	}
	for _, u := range unsupported {
		d.demand(!u.used(e), u.path, "%sis not supported yet", u.value)
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
	d.oneOf("service", false, "image", "build", "compose", "container")
	d.demand(s.Image != "" || !d.given("service.image"), "service.image", "is empty")
	d.demand(s.Container != "" || !d.given("service.container"), "service.container", "is empty")
	d.demand(s.Port >= 1 && s.Port <= 65535, "service.port", "%d is not a port; write one from 1 to 65535", s.Port)
	for name := range s.Env {
		d.demand(isVariable(strings.NewReplacer(".", "_", "-", "_").Replace(name)), "service.env."+name, "%q can't name an environment variable", name)
	}
	otherwise(d, "service.ready.within", &s.Ready.Within, Duration(time.Minute))
	d.demand(s.Ready.Within > 0, "service.ready.within", "must be more than 0")
	if d.given("service.ready.path") {
		d.checkURLPath("service.ready.path", s.Ready.Path)
	}
}

func (d *decoder) checkRequest(r *Request) {
	d.checkURLPath("request.path", r.Path)
	bodies := []string{"body", "body_file", "feed"}
	d.oneOf("request", true, bodies...)
	method := "GET"
	if slices.ContainsFunc(bodies, func(key string) bool { return d.given("request." + key) }) {
		method = "POST"
	}
	otherwise(d, "request.method", &r.Method, method)
	d.demand(isToken(r.Method) && r.Method == strings.ToUpper(r.Method), "request.method", "%q is not a method; write one such as GET or POST", r.Method)
	for name, value := range r.Headers {
		path := join("request.headers", name)
		d.demand(isToken(name), path, "%q is not the name of a header", name)
		d.demand(!strings.ContainsAny(value.Resolved, "\r\n\x00"), path, "must be a single line")
	}
	d.demand(r.BodyFile != "" || !d.given("request.body_file"), "request.body_file", "is empty")
	if r.Feed != nil {
		otherwise(d, "request.feed.order", &r.Feed.Order, "sequential")
	}
	otherwise(d, "request.timeout", &r.Timeout, Duration(10*time.Second))
	d.demand(r.Timeout > 0, "request.timeout", "must be more than 0")
	otherwise(d, "request.expect.status", &r.Expect.Status, []int{200})
	d.demand(len(r.Expect.Status) > 0, "request.expect.status", "is empty; write the statuses of a right answer, such as [200]")
	for i, status := range r.Expect.Status {
		d.demand(status >= 100 && status <= 599, fmt.Sprintf("request.expect.status[%d]", i), "%d is not a status; write one from 100 to 599", status)
	}
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
	if n := len(m.CPUs)*len(m.Memory) + len(m.List); n > maxCells {
		d.demand(false, "matrix", "has %d cells, but at most %d are allowed", n, maxCells)
		return
	}
	d.checkExclude(m)
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
			d.demand(slices.Contains(m.CPUs, l.CPU) && slices.Contains(m.Memory, l.Memory), path, "%s is not a cell of the axes", l)
		}
	}
	d.demand(len(m.Cells()) > 0, "matrix.exclude", "leaves no cell to try")
}

// unique demands that no element of the list at path comes twice.
func unique[T interface {
	comparable
	fmt.Stringer
}](d *decoder, path string, list []T) {
	first := map[T]bool{}
	for i, v := range list {
		if element := fmt.Sprintf("%s[%d]", path, i); d.sound(element) && d.sound(element+".cpus") && d.sound(element+".memory") {
			d.demand(!first[v], element, "%s is in the list twice", v)
			first[v] = true
		}
	}
}

func (d *decoder) checkUsers(u *Users) {
	d.demand(u.Target >= 1 && u.Target <= maxUsers, "users.target", "is %d, but must be from 1 to %d", u.Target, maxUsers)
	d.oneOf("users", false, "ramp", "stages")
	if d.given("users.stages") {
		d.demand(!d.given("users.hold"), "users.hold", "belongs to ramp; give each stage its own hold")
		d.checkStages(*u)
	} else {
		d.demand(u.RampOver > 0 || !d.given("users.ramp"), "users.ramp", "must be more than 0")
		otherwise(d, "users.hold", &u.Hold, Duration(30*time.Second))
		d.demand(u.Hold > 0, "users.hold", "must be more than 0: a ramp finds a level, a hold proves it")
	}
	var length float64 // in seconds, because lengths of time can overflow
	for _, s := range u.Ramp() {
		length += s.Over.Std().Seconds() + s.Hold.Std().Seconds()
	}
	d.demand(length <= maxLength.Seconds(), "users", "would last %.0f hours, but at most %.0f are allowed", length/3600, maxLength.Hours())
	otherwise(d, "users.from", &u.From, "service")
	d.checkWait(&u.Wait)
}

func (d *decoder) checkStages(u Users) {
	d.demand(len(u.Stages) > 0, "users.stages", "is empty; write at least one stage, such as {users: 100, over: 1m}")
	counted := true
	for i, s := range u.Stages {
		path := fmt.Sprintf("users.stages[%d]", i)
		d.demand(s.Users >= 0 && s.Users <= maxUsers, path+".users", "is %d, but must be from 0 to %d", s.Users, maxUsers)
		if d.sound(path+".over") && d.sound(path+".hold") {
			d.demand(s.Over > 0 || s.Hold > 0, path, "takes no time; give it over, hold or both")
		}
		counted = counted && d.sound(path+".users")
	}
	if peak := u.Ramp().Peak(); counted && len(u.Stages) > 0 && d.sound("users.target") {
		d.demand(peak >= u.Target, "users.stages", "never reach the target: their peak is %d of %d users", peak, u.Target)
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
	if e.Objective.Goodput != nil && !slices.ContainsFunc(d.faults, inWait) {
		d.demand(e.Users.Wait.Mean() > 0, "objective.goodput", "needs a wait of more than 0: without one there is no demanded rate")
	}
}

func (d *decoder) checkSearch(s *Search) {
	otherwise(d, "search.strategy", &s.Strategy, "exhaustive")
	otherwise(d, "search.repeats", &s.Repeats, 1)
	otherwise(d, "search.seed", &s.Seed, 1)
	d.demand(s.Repeats >= 1, "search.repeats", "is %d, but must be at least 1", s.Repeats)
}

func (d *decoder) checkPrice(p *Price) {
	otherwise(d, "price.cpu_hour", &p.CPUHour, 0.04048)
	otherwise(d, "price.gib_hour", &p.GiBHour, 0.004445)
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
