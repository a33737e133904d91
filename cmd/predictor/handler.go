package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"

	"sweep/cmd/predictor/model"
)

// maxBody is the largest request body read, in bytes.
const maxBody = 64 << 10

// newHandler returns the HTTP API. It exists only once the model is loaded, so
// to answer is to be healthy.
func newHandler(p pool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("POST /predict", p.servePredict)
	return mux
}

type prediction struct {
	Prediction float64 `json:"prediction"`
	Unit       string  `json:"unit"`
}

func (p pool) servePredict(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		refuse(w, http.StatusRequestEntityTooLarge, "bad request: body exceeds %d bytes", tooLarge.Limit)
		return
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "bad request: read body: %v", err)
		return
	}
	features, err := parseFeatures(body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "bad request: %v", err)
		return
	}
	minutes, err := p.predict(r.Context(), features)
	if err != nil { // the client left the queue, so this is for the record
		refuse(w, http.StatusServiceUnavailable, "no prediction: %v", err)
		return
	}
	// A hundredth of a minute is well below what the model can tell.
	reply(w, http.StatusOK, prediction{Prediction: math.Round(minutes*100) / 100, Unit: "minutes"})
}

// parseFeatures reads {"features":[a,b,c]} strictly: the load generator that
// sends anything else has a bug, and should hear of it.
func parseFeatures(body []byte) (features [model.NumFeatures]float64, err error) {
	var request struct {
		// Pointers tell null from 0.
		Features []*float64 `json:"features"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&request); err != nil {
		return features, explain(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return features, errors.New("data after the JSON object")
	}
	if len(request.Features) != len(features) {
		return features, fmt.Errorf("features: want %d numbers (distance, items, hour), got %d", len(features), len(request.Features))
	}
	for i, v := range request.Features {
		if v == nil {
			return features, fmt.Errorf("features[%d]: want a number, got null", i)
		}
		features[i] = *v
	}
	return features, model.Check(features)
}

// explain puts a decoding error in the client's terms, without Go's types.
func explain(err error) error {
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("empty body")
	case errors.As(err, &mismatch) && mismatch.Field == "":
		return fmt.Errorf("want a JSON object, got %s", mismatch.Value)
	case errors.As(err, &mismatch):
		return fmt.Errorf("%s: unexpected %s", mismatch.Field, mismatch.Value)
	default:
		return fmt.Errorf("invalid JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
}

func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	reply(w, status, map[string]string{"error": fmt.Sprintf(format, args...)})
}

// reply writes v as JSON.
func reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // such as a prediction that is not a number
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // if it fails there is nobody left to tell
}
