//go:build linux && peers

package nas

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// azureWatch watches what the agent does to the recordings of a container, by what the service says that it has done: each is
// stored whole, with its contents, and once; and nothing is replaced or deleted.
type azureWatch struct {
	wanted func(path string) (sum string, ok bool)

	mu       sync.Mutex
	stored   map[string]bool // by name
	problems []string
}

// saw takes note of a request about a recording that was answered.
func (w *azureWatch) saw(r *http.Request, name string, body []byte, status int) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || status < 200 || status > 299 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	whole := r.Method == http.MethodPut && r.URL.Query().Get("comp") == "" && r.Header.Get("x-ms-copy-source") == ""
	sum := sha256.Sum256(body)
	switch want, ok := w.wanted(name); {
	case !whole:
		w.problems = append(w.problems, fmt.Sprintf("%s %s with %q was done", r.Method, name, r.URL.Query().Get("comp")))
	case w.stored[name]:
		w.problems = append(w.problems, name+" was replaced")
	case !ok || want != hex.EncodeToString(sum[:]):
		w.problems = append(w.problems, fmt.Sprintf("%s was stored with the SHA-256 %x, want %q", name, sum, want))
	}
	w.stored[name] = true
}

// Stop implements watcher.
func (w *azureWatch) Stop(testing.TB) (files int, problems []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.stored), w.problems
}
