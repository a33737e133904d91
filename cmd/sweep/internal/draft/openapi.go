package draft

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Request is one that a service may be loaded with.
type Request struct {
	Method, Path string
	Headers      map[string]string
	Body         string // in ASCII, one line
	Secured      bool   // whether the service's description says that it takes credentials
}

// DocumentIn returns the path of the OpenAPI document that a page of Swagger UI,
// such as FastAPI's /docs, shows, or "".
func DocumentIn(page string) string {
	found := regexp.MustCompile(`\burl: ?['"](/[^'"\s]+)['"]`).FindStringSubmatch(page)
	if found == nil {
		return ""
	}
	return found[1]
}

// Best returns the operation of an OpenAPI document that makes the best load: a
// POST of JSON, by preference one that predicts, else a GET that needs nothing.
// Those that change things by their name, and every other method, are left
// alone. The error says why there is none.
func Best(document string) (Request, error) {
	var root any
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.UseNumber()
	if err := decoder.Decode(&root); err != nil {
		return Request{}, fmt.Errorf("it is no JSON: %w", err)
	}
	api := &description{root: modern(root)}
	all := api.operations()
	slices.SortStableFunc(all, func(a, b operation) int { return b.worth - a.worth })
	var failed error
	for _, o := range all {
		r, err := api.request(o)
		if err == nil {
			return r, nil
		}
		if failed == nil {
			failed = fmt.Errorf("%s %s: %w", o.method, o.path, err)
		}
	}
	if failed == nil {
		failed = errors.New("it has neither a POST of JSON nor a GET without parameters")
	}
	return Request{}, failed
}

// description is an OpenAPI document.
type description struct{ root any }

type operation struct {
	method, path string
	says         map[string]any
	parameters   []map[string]any
	worth        int
}

// at returns what is below node by these names, with references followed.
func (d *description) at(node any, names ...string) any {
	for i := 0; ; i++ {
		tree, _ := node.(map[string]any)
		for range deepest { // references to references
			ref, ok := tree["$ref"].(string)
			if !ok {
				break
			}
			node, _ = pointed(d.root, ref)
			tree, _ = node.(map[string]any)
		}
		if i == len(names) {
			return node
		}
		node = tree[names[i]]
	}
}

func (d *description) tree(node any, names ...string) map[string]any {
	tree, _ := d.at(node, names...).(map[string]any)
	return tree
}

// operations returns what may be asked, by path.
func (d *description) operations() []operation {
	var out []operation
	paths := d.tree(d.root, "paths")
	for _, path := range sorted(paths) {
		item := d.tree(paths[path])
		for _, method := range []string{"get", "post"} {
			says := d.tree(item, method)
			if says == nil {
				continue
			}
			o := operation{method: strings.ToUpper(method), path: path, says: says}
			for _, p := range append(list(item["parameters"]), list(says["parameters"])...) {
				o.parameters = append(o.parameters, d.tree(p))
			}
			if o.worth = d.worth(o); o.worth > 0 {
				out = append(out, o)
			}
		}
	}
	return out
}

// Words of an operation's name. What isn't known to be harmless is loaded with
// only where its name doesn't say that it isn't.
var (
	useful  = regexp.MustCompile(`predict|infer|score|classif|embed|rank|recommend|estimate|complet|generat|search|query`)
	harmful = wordSet("delete remove drop clear purge reset login logout signin signup register token auth oauth admin shutdown stop kill upload train retrain reload import pay order send mail email notify notification publish create transfer charge book cancel restart reboot") //nolint:gochecknoglobals // a constant
	lookout = wordSet("health healthz ready readyz live livez ping metrics status docs version")                                                                                                                                                                                       //nolint:gochecknoglobals // a constant
)

func wordSet(text string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(text) {
		set[w] = true
	}
	return set
}

// worth returns how good a load an operation makes, 0 for none at all.
func (d *description) worth(o operation) int {
	name := strings.ToLower(fmt.Sprint(o.path, " ", o.says["operationId"]))
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) })
	in := func(set map[string]bool) bool {
		return slices.ContainsFunc(words, func(w string) bool { return set[w] })
	}
	var worth int
	switch {
	case in(harmful) || o.says["deprecated"] == true:
		return 0
	case o.method == "POST" && d.body(o) != nil:
		worth = 200
	case o.method == "GET" && !slices.ContainsFunc(o.parameters, needed):
		worth = 100
	default:
		return 0
	}
	if useful.MatchString(name) {
		worth += 50
	}
	if o.method == "GET" && in(lookout) || o.path == "/" {
		worth -= 50
	}
	if d.secured(o) {
		worth -= 30
	}
	return worth - len(o.parameters)
}

// needed reports whether a parameter must be given.
func needed(p map[string]any) bool { return p["required"] == true || p["in"] == "path" }

// secured reports whether an operation takes credentials.
func (d *description) secured(o operation) bool {
	security, own := o.says["security"]
	if !own {
		security = d.at(d.root, "security")
	}
	return len(list(security)) > 0
}

// body returns what is said of an operation's body of JSON, nil where it takes none.
func (d *description) body(o operation) map[string]any {
	content := d.tree(o.says, "requestBody", "content")
	for _, kind := range sorted(content) {
		if base, _, _ := strings.Cut(kind, ";"); base == "application/json" || strings.HasSuffix(base, "+json") {
			return d.tree(content[kind])
		}
	}
	return nil
}

// request makes a request that an operation accepts.
func (d *description) request(o operation) (Request, error) {
	r := Request{Method: o.method, Path: o.path, Headers: map[string]string{}, Secured: d.secured(o)}
	query := url.Values{}
	for _, p := range o.parameters {
		if !needed(p) {
			continue
		}
		name := fmt.Sprint(p["name"])
		v, err := d.sampled(p)
		if err != nil {
			return r, fmt.Errorf("parameter %s: %w", name, err)
		}
		value, isText := v.(string)
		if !isText {
			value = encoded(v)
		}
		switch p["in"] {
		case "path":
			r.Path = strings.ReplaceAll(r.Path, "{"+name+"}", url.PathEscape(value))
		case "query":
			query.Set(name, value)
		case "header":
			r.Headers[name] = value
		}
	}
	if len(query) > 0 {
		r.Path += "?" + query.Encode()
	}
	if body := d.body(o); body != nil && o.method == "POST" {
		v, err := d.sampled(body)
		if err != nil {
			return r, fmt.Errorf("its body: %w", err)
		}
		r.Body, r.Headers["Content-Type"] = encoded(v), "application/json"
	}
	if strings.ContainsAny(r.Path, "{}") {
		return r, errors.New("its path has a parameter that it doesn't describe")
	}
	return r, nil
}

// sampled returns a value of what a parameter or a body is said to be: its
// example, or one that its schema accepts.
func (d *description) sampled(says map[string]any) (any, error) {
	if v, ok := says["example"]; ok {
		return v, nil
	}
	examples, _ := says["examples"].(map[string]any)
	for _, name := range sorted(examples) {
		if v, ok := d.tree(examples[name])["value"]; ok {
			return v, nil
		}
	}
	schema, ok := says["schema"]
	if !ok {
		schema = true
	}
	return Sample(d.root, schema)
}

// encoded returns JSON in one line of printable ASCII.
func encoded(v any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err) // it was JSON before
	}
	var ascii strings.Builder
	for _, r := range strings.TrimSuffix(out.String(), "\n") {
		switch {
		case r >= ' ' && r <= '~':
			ascii.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&ascii, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&ascii, `\u%04x`, r)
		}
	}
	return ascii.String()
}

// Telling returns a field of an answer in JSON that tells a right one: of those
// at the top one that is named like a result, else the first; "" where there is
// none.
func Telling(answer string) string {
	decoder := json.NewDecoder(strings.NewReader(answer))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return ""
	}
	first := ""
	for decoder.More() {
		key, err := decoder.Token()
		name, ok := key.(string)
		var skipped json.RawMessage
		if err != nil || !ok || decoder.Decode(&skipped) != nil {
			break
		}
		lower := strings.ToLower(name)
		if slices.ContainsFunc([]string{"predict", "result", "score", "label", "class", "output", "data"}, func(w string) bool { return strings.HasPrefix(lower, w) }) {
			return name
		}
		if first == "" && !wordSet("error errors detail message id timestamp")[lower] {
			first = name
		}
	}
	return first
}
