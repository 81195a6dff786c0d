package server_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// What waited when a server ended is delivered by the next one, and not again by the one after that.
func TestAlertsAreDeliveredAfterRestart(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	posted := make(chan string, 10)
	web := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { posted <- r.Header.Get("webhook-id") }))
	t.Cleanup(web.Close)
	write := func(path string, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(f.path("ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}))
	write(f.path("secret"), []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"))
	waiting, err := json.Marshal(map[string]any{"queue": []any{map[string]any{
		"id": "msg_1", "recipient": " webhook " + web.URL, "made_at": time.Now(), "subject": "s", "text": "t", "alerts": []any{}, "next_try": time.Now(),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	write(f.path("state", "alerts.json"), waiting)
	f.configure(t, fmt.Sprintf("alerts:\n  operator: {webhook: {url: '%s', secret_file: %s, ca_file: %s}}\n", web.URL, f.path("secret"), f.path("ca.pem")))
	f.serve(t)
	select {
	case id := <-posted:
		if id != "msg_1" {
			t.Errorf("posted %q", id)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was posted")
	}
	f.stop()
	var kept struct {
		Queue []any `json:"queue"`
	}
	text, err := os.ReadFile(f.path("state", "alerts.json"))
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if err != nil || len(kept.Queue) != 0 || len(posted) != 0 {
		t.Errorf("%d wait, %d were posted again, %v", len(kept.Queue), len(posted), err)
	}
}
