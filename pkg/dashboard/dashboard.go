// Package dashboard shows a sweep to browsers of this machine while it runs. It
// serves one page and the events that change it, and knows nothing of what
// they say; who starts it draws the page.
//
// Nothing but GET is answered, only on 127.0.0.1, and only to who knows the token
// in the URL. Events come as the browser's own EventSource reads them (WHATWG
// HTML, server-sent events), each with an id, so that a page that was away says
// where it stopped and gets the rest. Nobody waits for a page: what one hasn't read
// yet is remembered once for all.
package dashboard

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	headTime  = 5 * time.Second  // for a request to come
	writeTime = 10 * time.Second // for a page to take what it is sent
	idleTime  = 2 * time.Minute
	beatEvery = 15 * time.Second // a sign of life, where nothing happens
	linger    = 2 * time.Second  // for pages to fetch how it ended
)

// Page writes the page as it is now. The view is what the page asks for in
// its URL (?view=...), whatever that means to who draws it.
type Page func(w io.Writer, view string) error

// Server serves the page. Its methods may be called at any time, from one
// goroutine, and don't wait for any browser.
type Server struct {
	page   Page
	token  string
	host   string // and port
	stream *stream
	http   *http.Server
	served chan error

	readers readers
}

// Start serves the page on a free port of 127.0.0.1 until Close.
func Start(ctx context.Context, page Page) (*Server, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serving the live page: %w", err)
	}
	s := newServer(page, l.Addr().String())
	go func() { s.served <- s.http.Serve(l) }()
	return s, nil
}

func newServer(page Page, host string) *Server {
	s := &Server{page: page, token: rand.Text(), host: host, stream: newStream(), served: make(chan error, 1)}
	s.http = &http.Server{Handler: s.guard(s.routes()), ReadHeaderTimeout: headTime, IdleTimeout: idleTime, MaxHeaderBytes: 16 << 10}
	return s
}

// URL returns where the page is. Whoever has it can read what the sweep finds,
// and nothing else.
func (s *Server) URL() string { return "http://" + s.host + "/" + s.token + "/" }

// Begin tells pages that another scene begins; what belonged to the last one
// is forgotten. The data is one line.
func (s *Server) Begin(name, data string) { s.stream.begin(name, data) }

// Show tells pages what happens in the scene that is on.
func (s *Server) Show(name, data string) { s.stream.show(name, data) }

// Keep tells pages what stays beyond the scene.
func (s *Server) Keep(name, data string) { s.stream.keep(name, data) }

// Close tells pages the last event, gives those that are open two seconds to fetch
// the page once more, and stops serving.
func (s *Server) Close(ctx context.Context, name, data string) error {
	s.stream.keep(name, data)
	s.stream.end()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), linger)
	defer cancel()
	s.readers.gone(ctx)
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) { // somebody doesn't let go
		err = s.http.Close()
	}
	if serveErr := <-s.served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	if err != nil {
		return fmt.Errorf("serving the live page: %w", err)
	}
	return nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{token}/{$}", s.servePage)
	mux.HandleFunc("GET /{token}/events", s.serveEvents)
	return mux
}

// guard lets only those in who ask for this machine by its own name, know the
// token, and come from no other origin. A page elsewhere whose name was made to
// point here (DNS rebinding) has that name in Host. The port may be another: a
// tunnel's.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
		switch {
		case !local(r.Host),
			origin != "" && origin != "http://"+r.Host,
			site != "" && site != "same-origin" && site != "none":
			http.Error(w, "not for you", http.StatusForbidden)
		case r.Method != http.MethodGet:
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "nothing but GET", http.StatusMethodNotAllowed)
		case !s.knows(r.URL.Path):
			http.NotFound(w, r)
		default:
			h := w.Header()
			h.Set("Cache-Control", "no-store")
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("X-Frame-Options", "DENY")
			h.Set("Cross-Origin-Resource-Policy", "same-origin")
			next.ServeHTTP(w, r)
		}
	})
}

// local reports whether a host, with its port, is this machine by its own name.
func local(host string) bool {
	name, _, err := net.SplitHostPort(host)
	return err == nil && (name == "127.0.0.1" || name == "localhost")
}

// knows reports whether a path begins with the token. How long the comparison
// takes doesn't tell how much of it is right.
func (s *Server) knows(path string) bool {
	n := len(s.token)
	return len(path) > n+1 && path[n+1] == '/' && subtle.ConstantTimeCompare([]byte(path[1:n+1]), []byte(s.token)) == 1
}

func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime)) // every connection of a server's has one
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := s.page(w, r.URL.Query().Get("view")); err != nil {
		// Where nothing was written yet, the browser says it; else the page is cut off.
		http.Error(w, "The page can't be made now: "+err.Error(), http.StatusInternalServerError)
	}
}

// serveEvents tells events as they come, until the reader goes or all is told.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	s.readers.add(1)
	defer s.readers.add(-1)
	id, _ := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64) // anything else: from the beginning
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	text := []byte("retry: 1000\n\n")
	for {
		events, more, ended := s.stream.after(id)
		for _, e := range events {
			id = e.ID
			text = fmt.Appendf(text, "id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Name, e.Data)
		}
		_ = out.SetWriteDeadline(time.Now().Add(writeTime)) // every connection of a server's has one
		if _, err := w.Write(text); err != nil || out.Flush() != nil {
			return // so has the reader
		}
		text = nil
		if ended {
			<-r.Context().Done() // it has fetched the page, or the server closes
			return
		}
		select {
		case <-more:
		case <-beat.C:
			text = []byte(": still here\n\n")
		case <-r.Context().Done():
			return
		}
	}
}

// readers counts those who read events.
type readers struct {
	mutex sync.Mutex
	n     int
	none  chan struct{} // closed once there are none; nil: nobody waits
}

func (r *readers) add(n int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.n += n; r.n == 0 && r.none != nil {
		close(r.none)
		r.none = nil
	}
}

// gone returns once there are no readers, or ctx is done.
func (r *readers) gone(ctx context.Context) {
	r.mutex.Lock()
	if r.n == 0 {
		r.mutex.Unlock()
		return
	}
	none := make(chan struct{})
	r.none = none
	r.mutex.Unlock()
	select {
	case <-none:
	case <-ctx.Done():
	}
}
