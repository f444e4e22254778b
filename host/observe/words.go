package observe

import (
	"strings"
	"sync"
)

// Bounds of the words that label figures. A word comes from who calls, and there
// may be no end of them: each that is kept costs memory for good, here and in
// whoever scrapes.
const (
	maxApps     = 128
	maxPerApp   = 64 // methods, locks, ... of one app
	maxStatuses = 16
	maxKinds    = 16
	maxWord     = 128 // bytes
	otherWord   = "other"
)

// words remembers which words are kept apart.
type words struct {
	mu    sync.RWMutex
	known map[wordScope]map[string]bool
}

// wordScope is where a word is told from others: its kind, and of what app.
type wordScope struct{ kind, app string }

func newWords() *words { return &words{known: map[wordScope]map[string]bool{}} }

// keep returns the word, or "other" when its scope has no room for it.
func (w *words) keep(scope wordScope, word string, most int) string {
	w.mu.RLock()
	known := w.known[scope][word]
	w.mu.RUnlock()
	if known {
		return word
	}
	if len(word) > maxWord {
		word = word[:maxWord]
	}
	word = strings.ToValidUTF8(word, "?")
	w.mu.Lock()
	defer w.mu.Unlock()
	set := w.known[scope]
	if set == nil {
		set = map[string]bool{}
		w.known[scope] = set
	}
	if !set[word] && len(set) >= most {
		return otherWord
	}
	set[strings.Clone(word)] = true
	return word
}

func (w *words) app(app string) string { return w.keep(wordScope{kind: "app"}, app, maxApps) }

// pair returns the words of an app and of something that it has.
func (w *words) pair(kind, app, word string) (string, string) {
	app = w.app(app)
	return app, w.keep(wordScope{kind, app}, word, maxPerApp)
}

func (w *words) status(status string) string {
	return w.keep(wordScope{kind: "status"}, status, maxStatuses)
}

func (w *words) kind(kind string) string { return w.keep(wordScope{kind: "kind"}, kind, maxKinds) }
