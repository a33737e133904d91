// The service of service.py on Go's net/http: go run nethttp.go ADDRESS.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"
)

const answer = `{"prediction": 1}`

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })
	http.HandleFunc("/none", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	http.HandleFunc("/chunked", func(w http.ResponseWriter, _ *http.Request) { inPieces(w, 0, answer[:5], answer[5:]) })
	http.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "17")
		inPieces(w, 20*time.Millisecond, answer[:5], answer[5:9], answer[9:])
	})
	http.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat(" ", 1<<20)+answer)
	})
	http.HandleFunc("/close", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, answer)
	})
	http.HandleFunc("/predict", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != `{"features": [1, 2, 3]}` {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = io.WriteString(w, answer)
	})
	server := http.Server{Addr: os.Args[1], IdleTimeout: time.Second}
	log.Fatal(server.ListenAndServe())
}

func inPieces(w http.ResponseWriter, pause time.Duration, pieces ...string) {
	for i, piece := range pieces {
		if i > 0 {
			_ = http.NewResponseController(w).Flush()
			time.Sleep(pause)
		}
		_, _ = io.WriteString(w, piece)
	}
}
