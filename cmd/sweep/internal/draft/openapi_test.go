package draft

import (
	"strings"
	"testing"
)

// api returns a document with these paths.
func api(paths string) string {
	return `{"openapi": "3.1.0", "paths": ` + paths + `, "components": {
		"parameters": {"Region": {"name": "X-Region", "in": "header", "required": true, "schema": {"enum": ["eu"]}}},
		"requestBodies": {"Order": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}},
		"schemas": {"Order": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "minimum": 3}}}}}}`
}

func TestBest(t *testing.T) {
	const body = `"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}`
	for _, c := range []struct{ name, paths, want string }{
		{"a prediction before anything else", `{"/a": {"post": {` + body + `}}, "/v1/predict": {"post": {` + body + `}}, "/": {"get": {}}}`, `POST /v1/predict {"n":3}`},
		{"a post before a get", `{"/a": {"get": {}, "post": {"requestBody": {"$ref": "#/components/requestBodies/Order"}}}}`, `POST /a {"n":3}`},
		{"nothing that changes things", `{"/login": {"post": {` + body + `}}, "/items": {"delete": {}, "get": {}}}`, `GET /items `},
		{"a get that isn't a look-out", `{"/health": {"get": {}}, "/z": {"get": {}}}`, `GET /z `},
		{"not a get that needs something", `{"/a/{id}": {"get": {}}, "/b": {"get": {"parameters": [{"name": "q", "in": "query", "required": true}]}}, "/health": {"get": {}}}`, `GET /health `},
		{"parameters of a post", `{"/m/{model}/score": {"parameters": [{"name": "model", "in": "path", "schema": {"const": "a b"}}, {"$ref": "#/components/parameters/Region"}], "post": {"parameters": [{"name": "k", "in": "query", "required": true, "schema": {"type": "integer"}}], ` + body + `}}}`, `POST /m/a%20b/score?k=1 {"n":3} eu`},
		{"an example first", `{"/a": {"post": {"requestBody": {"content": {"application/json": {"examples": {"x": {"value": {"n": 42}}}, "schema": {"$ref": "#/components/schemas/Order"}}}}}}}`, `POST /a {"n":42}`},
		{"the next where one can't be made", `{"/predict": {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/nowhere"}}}}}}, "/b": {"post": {` + body + `}}}`, `POST /b {"n":3}`},
		{"forms aren't JSON", `{"/a": {"post": {"requestBody": {"content": {"multipart/form-data": {}}}}}}`, "error: neither a POST of JSON"},
		{"what it can't describe", `{"/predict/{x}": {"post": {` + body + `}}}`, "error: a parameter that it doesn't describe"},
	} {
		r, err := Best(api(c.paths))
		got := strings.TrimSuffix(r.Method+" "+r.Path+" "+r.Body+" "+r.Headers["X-Region"], " ")
		if err != nil {
			got = "error: " + err.Error()
		}
		if want, fails := strings.CutPrefix(c.want, "error: "); fails && !strings.Contains(got, want) || !fails && got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if _, err := Best("<html>"); err == nil {
		t.Error("a page of HTML was taken for a document")
	}
}

func TestTelling(t *testing.T) {
	for answer, want := range map[string]string{
		`{"unit": "minutes", "prediction": 3}`: "prediction", `{"id": 1, "b": {"score": 2}, "a": 3}`: "b", `{"detail": "no"}`: "", `[1]`: "", `ok`: "", ``: "", `{"a": `: "",
	} {
		if got := Telling(answer); got != want {
			t.Errorf("%s: got %q, want %q", answer, got, want)
		}
	}
}

func TestDocumentIn(t *testing.T) {
	if got := DocumentIn("SwaggerUIBundle({\n        url: '/api/v1/openapi.json',\n"); got != "/api/v1/openapi.json" {
		t.Errorf("got %q", got)
	}
	if got := DocumentIn("<p>no such thing</p>"); got != "" {
		t.Errorf("got %q", got)
	}
}
