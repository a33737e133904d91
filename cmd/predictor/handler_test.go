package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"sweep/cmd/predictor/model"
)

const goodBody = `{"features":[12.5,3,18.25]}`

func testPool(t *testing.T, workers int) pool {
	t.Helper()
	network, err := model.Load()
	if err != nil {
		t.Fatal(err)
	}
	return newPool(network, workers)
}

func post(ctx context.Context, h http.Handler, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", "/predict", strings.NewReader(body)))
	return w
}

func TestPredict(t *testing.T) {
	p := testPool(t, 1)
	want, err := p.predict(t.Context(), [model.NumFeatures]float64{12.5, 3, 18.25})
	if err != nil {
		t.Fatal(err)
	}
	w := post(t.Context(), newHandler(p), goodBody)
	var got struct {
		Prediction float64
		Unit       string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	if w.Code != http.StatusOK || got.Unit != "minutes" || got.Prediction < want-0.005 || got.Prediction > want+0.005 {
		t.Errorf("got %d %s, want 200 and %v minutes", w.Code, w.Body, want)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/json" {
		t.Errorf("Content-Type %q", ct)
	}
}

func TestBadRequests(t *testing.T) {
	h := newHandler(testPool(t, 1))
	tests := []struct {
		name, body string
		status     int
		reason     string
	}{
		{"empty", ``, 400, `empty body`},
		{"not JSON", `distance=3`, 400, `invalid JSON: invalid character 'd' looking for beginning of value`},
		{"truncated", `{"features":[1,2`, 400, `invalid JSON: unexpected EOF`},
		{"array", `[1,2,3]`, 400, `want a JSON object, got array`},
		{"null", `null`, 400, `features: want 3 numbers (distance, items, hour), got 0`},
		{"no features", `{}`, 400, `features: want 3 numbers (distance, items, hour), got 0`},
		{"two features", `{"features":[1,2]}`, 400, `features: want 3 numbers (distance, items, hour), got 2`},
		{"four features", `{"features":[1,2,3,4]}`, 400, `features: want 3 numbers (distance, items, hour), got 4`},
		{"null feature", `{"features":[1,null,3]}`, 400, `features[1]: want a number, got null`},
		{"string feature", `{"features":[1,"2",3]}`, 400, `features: unexpected string`},
		{"features not a list", `{"features":7}`, 400, `features: unexpected number`},
		{"NaN", `{"features":[NaN,2,3]}`, 400, `invalid JSON: invalid character 'N' looking for beginning of value`},
		{"beyond float64", `{"features":[1e999,2,3]}`, 400, `features: unexpected number 1e999`},
		{"unknown field", `{"features":[1,2,3],"user":7}`, 400, `invalid JSON: unknown field "user"`},
		{"two objects", `{"features":[1,2,3]}{}`, 400, `data after the JSON object`},
		{"distance", `{"features":[30.5,2,3]}`, 400, `distance must be between 0 and 30 km, got 30.5`},
		{"items", `{"features":[1,0,3]}`, 400, `items must be between 1 and 40 items, got 0`},
		{"hour", `{"features":[1,2,-1]}`, 400, `hour must be between 0 and 24 h, got -1`},
		{"too large", strings.Repeat(" ", maxBody) + goodBody, 413, `body exceeds 65536 bytes`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := post(t.Context(), h, test.body)
			var got struct{ Error string }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("%v in %s", err, w.Body)
			}
			if w.Code != test.status || got.Error != "bad request: "+test.reason {
				t.Errorf("got %d %q, want %d %q", w.Code, got.Error, test.status, "bad request: "+test.reason)
			}
			if ct := w.Header().Get("Content-Type"); ct != "application/json" {
				t.Errorf("Content-Type %q", ct)
			}
		})
	}
}

func TestLargestBody(t *testing.T) {
	padding := strings.Repeat(" ", maxBody-len(goodBody))
	if w := post(t.Context(), newHandler(testPool(t, 1)), padding+goodBody); w.Code != http.StatusOK {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestRoutes(t *testing.T) {
	h := newHandler(testPool(t, 1))
	tests := []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/health", 200, "{\"status\":\"ok\"}\n"},
		{"POST", "/health", 405, "Method Not Allowed\n"},
		{"GET", "/predict", 405, "Method Not Allowed\n"},
		{"PUT", "/predict", 405, "Method Not Allowed\n"},
		{"GET", "/", 404, "404 page not found\n"},
	}
	for _, test := range tests {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(test.method, test.path, nil))
		if w.Code != test.status || w.Body.String() != test.body {
			t.Errorf("%s %s: got %d %q, want %d %q", test.method, test.path, w.Code, w.Body, test.status, test.body)
		}
	}
}

// TestConcurrencyLimit takes all evaluators away and gives one back: requests
// wait while there is none, and then all take their turn with the one.
func TestConcurrencyLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers, requests = 2, 5
		p := testPool(t, workers)
		if len(p) != workers {
			t.Fatalf("%d evaluators, want %d", len(p), workers)
		}
		h := newHandler(p)
		held := <-p
		<-p

		var wg sync.WaitGroup
		codes := make(chan int, requests)
		for range requests {
			wg.Go(func() { codes <- post(t.Context(), h, goodBody).Code })
		}
		synctest.Wait() // until all requests are blocked
		if n := len(codes); n != 0 {
			t.Errorf("%d requests answered without an evaluator", n)
		}
		p <- held
		wg.Wait()
		close(codes)
		for code := range codes {
			if code != http.StatusOK {
				t.Errorf("got %d, want 200", code)
			}
		}
		if len(p) != 1 {
			t.Errorf("%d evaluators came back, want 1", len(p))
		}
	})
}

func TestCancelledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPool(t, 1)
		held := <-p
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan *httptest.ResponseRecorder, 1)
		go func() { done <- post(ctx, newHandler(p), goodBody) }()
		synctest.Wait()
		cancel()
		w := <-done
		if want := "{\"error\":\"no prediction: context canceled\"}\n"; w.Code != 503 || w.Body.String() != want {
			t.Errorf("got %d %s, want 503 %s", w.Code, w.Body, want)
		}
		p <- held // it took no evaluator, so there is room
		if w := post(t.Context(), newHandler(p), goodBody); w.Code != http.StatusOK {
			t.Errorf("the next request got %d %s", w.Code, w.Body)
		}
	})
}
