package observe

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Source is the node that is shown.
type Source interface {
	// Name is the node's id.
	Name() string
	// Ready returns nil while the node's session holds and each of its health
	// checks that counts has passed last, else what is missing.
	Ready() error
	// Status is the platform as the node sees it.
	Status(context.Context) (control.Status, error)
	// Checks are the last results of the node's health checks.
	Checks() pluginapi.HealthStatus
	// History are the last results of one, oldest first; nil if there is none of
	// that name.
	History(check string) []pluginapi.CheckResult
}

// Health returns the handler of the health address:
//
//	GET /health                   200 as long as the process answers
//	GET /ready                    200 while the node is ready, else 503 and why
//	GET /status                   the platform as the node sees it
//	GET /health/checks            the last result of each health check
//	GET /health/checks?check=NAME the last results of one, or 404
func Health(src Source) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if err := src.Ready(); err != nil {
			answer(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready", "reason": err.Error()})
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
	mux.HandleFunc("GET /health/checks", func(w http.ResponseWriter, r *http.Request) { checks(w, r, src) })
	return mux
}

// checkHistory is the document of one check.
type checkHistory struct {
	Check   string                  `json:"check"`
	History []pluginapi.CheckResult `json:"history"`
}

func checks(w http.ResponseWriter, r *http.Request, src Source) {
	name := r.URL.Query().Get("check")
	if !r.URL.Query().Has("check") {
		answer(w, http.StatusOK, src.Checks())
		return
	}
	if err := pluginapi.CheckName("health check", name); err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	history := src.History(name)
	if history == nil {
		answer(w, http.StatusNotFound, map[string]string{"error": "there is no health check " + name})
		return
	}
	answer(w, http.StatusOK, checkHistory{name, history})
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
