package observe

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/ozanturksever/go-cluster/host/control"
)

// Source is the node that is shown.
type Source interface {
	// Ready reports whether the node's session holds now.
	Ready() bool
	// Status is the platform as the node sees it.
	Status(context.Context) (control.Status, error)
}

// Health returns the handler of the health address:
//
//	GET /health   200 as long as the process answers
//	GET /ready    200 while the node's session holds, else 503
//	GET /status   the platform as the node sees it
func Health(src Source) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if !src.Ready() {
			answer(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready", "reason": "the node's session does not hold"})
			return
		}
		answer(w, http.StatusOK, map[string]string{"status": "ready"})
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		s, err := src.Status(ctx)
		if err != nil {
			answer(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
			return
		}
		answer(w, http.StatusOK, s)
	})
	return mux
}

func answer(w http.ResponseWriter, code int, doc any) {
	body, err := json.Marshal(doc)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) // the client has gone; there is nobody to tell
}
