package alerts

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/wolkvox/backup/internal/identity"
)

// sendTimeout is how long one delivery may take.
const sendTimeout = 30 * time.Second

// Hook is a URL that messages are posted to, signed as Standard Webhooks 1.0.0 says (symmetric signatures).
type Hook struct {
	URL        string
	SecretFile string // "whsec_" and base64 of at least 24 bytes, on one line
	CAFile     string // trusted instead of the system's authorities; may be empty
}

// posted is what a webhook gets.
type posted struct {
	Type      string    `json:"type"` // backup.digest or backup.expiring
	Timestamp time.Time `json:"timestamp"`
	Subject   string    `json:"subject"`
	Text      string    `json:"text"`
	Count     int       `json:"alert_count"`
	Alerts    []Alert   `json:"alerts"`
}

// send posts a message. A nil error says that the other side answered 2xx. Redirects are not followed.
func (h *Hook) send(ctx context.Context, m Message, at time.Time) error {
	key, err := hookKey(h.SecretFile)
	if err != nil {
		return err
	}
	config, err := tlsConfig(h.CAFile, "")
	if err != nil {
		return err
	}
	p := posted{"backup.digest", m.MadeAt, m.Subject, m.Text, m.Count, m.Alerts}
	if m.Urgent {
		p.Type = "backup.expiring"
	}
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	timestamp := strconv.FormatInt(at.Unix(), 10)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("webhook-id", m.ID)
	request.Header.Set("webhook-timestamp", timestamp)
	request.Header.Set("webhook-signature", signature(key, m.ID, timestamp, body))
	transport := &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("post to the webhook: %w", err)
	}
	defer response.Body.Close()
	if _, err := io.CopyN(io.Discard, response.Body, 64<<10); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("post to the webhook %s: %w", h.URL, err)
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the webhook %s answers %s", h.URL, response.Status)
	}
	return nil
}

// signature returns the header's value: the version, and the HMAC-SHA256 of what is signed.
func signature(key []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func hookKey(name string) ([]byte, error) {
	text, err := identity.ReadSecret(name)
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil || len(key) < 24 {
		return nil, fmt.Errorf("the secret in %s is not base64 of at least 24 bytes; make one with `openssl rand -base64 32`", name)
	}
	return key, nil
}

// tlsConfig trusts the authorities in a file, or the system's.
func tlsConfig(caFile, host string) (*tls.Config, error) {
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return config, nil
	}
	text, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", caFile)
	}
	return config, nil
}
