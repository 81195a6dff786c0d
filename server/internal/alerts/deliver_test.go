package alerts

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// mailbox is an SMTP server that keeps what it takes.
type mailbox struct {
	mu   sync.Mutex
	mail []string
	down bool
}

func (b *mailbox) received() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.mail...)
}

func (b *mailbox) setDown(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

func (b *mailbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{box: b}, nil }

type session struct {
	box      *mailbox
	loggedIn bool
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "backup" || password != "correct horse" {
			return smtp.ErrAuthFailed
		}
		s.loggedIn = true
		return nil
	}), nil
}

func (s *session) Mail(string, *smtp.MailOptions) error {
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	if s.box.down {
		return &smtp.SMTPError{Code: 451, Message: "come back later"}
	}
	if !s.loggedIn {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "gone@") {
		return &smtp.SMTPError{Code: 550, Message: "nobody has this address"}
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	s.box.mail = append(s.box.mail, string(text))
	return err
}

func (*session) Reset() {}

func (*session) Logout() error { return nil }

// ends are a mail server and a webhook, with a certificate that a file's authority signed.
type ends struct {
	box    *mailbox
	mailer *Mailer
	hook   *Hook
	secret []byte

	mu       sync.Mutex
	requests []request
	status   int
}

type request struct {
	header http.Header
	body   []byte
}

func newEnds(t *testing.T, implicit bool) *ends {
	t.Helper()
	e := &ends{box: &mailbox{}, secret: []byte("a secret of thirty-two bytes ...")}
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.requests = append(e.requests, request{r.Header, body})
		if e.status != 0 {
			w.WriteHeader(e.status)
		}
	}))
	t.Cleanup(web.Close)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})))
	e.hook = &Hook{URL: web.URL + "/backup", SecretFile: file("secret", "whsec_"+base64.StdEncoding.EncodeToString(e.secret)+"\n"), CAFile: ca}

	server := smtp.NewServer(e.box)
	server.Domain = "mail.example"
	server.TLSConfig = &tls.Config{Certificates: web.TLS.Certificates}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.mailer = &Mailer{Address: listener.Addr().String(), From: "backup@wolkvox.example", User: "backup", PasswordFile: file("password", "correct horse\n"), CAFile: ca, ImplicitTLS: implicit}
	if implicit {
		listener = tls.NewListener(listener, server.TLSConfig)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-served; err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve = %v", err)
		}
	})
	return e
}

func (e *ends) posted() []request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]request(nil), e.requests...)
}

func (e *ends) answer(status int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = status
}

func open(t *testing.T, e *ends, path string, look func() []Alert, recipients ...Recipient) *Alerts {
	t.Helper()
	a, err := Open(Options{Recipients: recipients, Mailer: e.mailer, Path: path, Logger: slog.New(slog.DiscardHandler),
		Look: func(context.Context, time.Time) ([]Alert, error) { return look(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func step(t *testing.T, a *Alerts, at time.Time) {
	t.Helper()
	if err := a.LookOnce(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	if err := a.Deliver(t.Context(), at); err != nil {
		t.Fatal(err)
	}
}

// 10,000 faults, looked at for a day, are one mail and one call.
func TestStorm(t *testing.T) {
	t.Parallel()
	for _, implicit := range []bool{false, true} {
		t.Run(fmt.Sprintf("implicit TLS %v", implicit), func(t *testing.T) {
			t.Parallel()
			e := newEnds(t, implicit)
			all := make([]Alert, 10_000)
			for i := range all {
				all[i] = Alert{Kind: KindStalled, Tenant: "acme", Destination: fmt.Sprintf("nas%05d", i), Party: PartyClient, Count: 3, At: noon, Fault: "el disco está lleno", FaultClass: "capacity"}
			}
			a := open(t, e, filepath.Join(t.TempDir(), "alerts.json"), func() []Alert { return all },
				Recipient{Tenant: "acme", Mail: "it@acme.example", Language: "es"}, Recipient{Webhook: e.hook})
			for at := noon; at.Before(noon.Add(23 * time.Hour)); at = at.Add(lookEvery) {
				step(t, a, at)
			}
			mails, calls := e.box.received(), e.posted()
			if len(mails) != 1 || len(calls) != 1 {
				t.Fatalf("%d mails and %d calls", len(mails), len(calls))
			}
			checkMail(t, mails[0])
			checkCall(t, e, calls[0])
		})
	}
}

func checkMail(t *testing.T, text string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || !strings.Contains(subject, "10000 asuntos") || m.Header.Get("To") != "it@acme.example" {
		t.Errorf("subject %q to %q, %v", subject, m.Header.Get("To"), err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || !strings.Contains(string(body), "el disco está lleno (capacity)") || !strings.Contains(string(body), "9950 más") || len(body) > 32<<10 {
		t.Errorf("%d bytes, %v: %.500s", len(body), err, body)
	}
}

func checkCall(t *testing.T, e *ends, r request) {
	t.Helper()
	id, timestamp := r.header.Get("webhook-id"), r.header.Get("webhook-timestamp")
	if want := signature(e.secret, id, timestamp, r.body); r.header.Get("webhook-signature") != want || id == "" || timestamp != fmt.Sprint(noon.Unix()) {
		t.Errorf("headers %v, want the signature %s", r.header, want)
	}
	var got posted
	if err := json.Unmarshal(r.body, &got); err != nil || got.Type != "backup.digest" || got.Count != 10_000 || len(got.Alerts) != maxShown || got.Alerts[0].FaultClass != "capacity" {
		t.Errorf("%v, %.300s", err, r.body)
	}
}

// The example of the standard (Standard Webhooks 1.0.0, its reference libraries' tests).
func TestSignature(t *testing.T) {
	t.Parallel()
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	if got := signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)); got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("signature %s", got)
	}
}

// A restart at any moment neither loses a message nor doubles it, while the other sides are down too.
func TestRestart(t *testing.T) {
	t.Parallel()
	e := newEnds(t, false)
	e.box.setDown(true)
	e.answer(http.StatusServiceUnavailable)
	path := filepath.Join(t.TempDir(), "alerts.json")
	look := func() []Alert { return []Alert{expiringAt(noon.Add(200 * time.Hour))} }
	recipients := []Recipient{{Mail: "ops@wolkvox.example"}, {Mail: "gone@wolkvox.example"}, {Webhook: e.hook}}
	at := noon
	for range 8 {
		step(t, open(t, e, path, look, recipients...), at)
		at = at.Add(10 * time.Minute)
	}
	if len(e.box.received()) != 0 {
		t.Error("mail was taken by a server that takes none")
	}
	refused := e.posted()
	if len(refused) < 3 || len(refused) > 6 {
		t.Errorf("the webhook was tried %d times in 70 minutes", len(refused))
	}
	for _, r := range refused {
		if r.header.Get("webhook-id") != refused[0].header.Get("webhook-id") {
			t.Error("another try has another identifier")
		}
	}
	e.box.setDown(false)
	e.answer(0)
	for range 8 {
		at = at.Add(time.Hour)
		step(t, open(t, e, path, look, recipients...), at)
	}
	if mails, calls := e.box.received(), e.posted(); len(mails) != 1 || len(calls) != len(refused)+1 {
		t.Errorf("%d mails and %d calls more, want one of each", len(mails), len(calls)-len(refused))
	}
	// What nobody takes is given up in the end.
	a := open(t, e, path, func() []Alert { return nil }, recipients...)
	if len(a.state.Queue) != 1 {
		t.Errorf("%d wait, want the one to the address that is gone", len(a.state.Queue))
	}
	if step(t, a, noon.Add(keptFor)); len(a.state.Queue) != 0 {
		t.Error("it waits still")
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	e := newEnds(t, false)
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong, []byte("d3Jvbmc="), 0o600); err != nil {
		t.Fatal(err)
	}
	m := Message{ID: "msg_1", MadeAt: noon}
	for name, mailer := range map[string]Mailer{
		"a wrong password":       {Address: e.mailer.Address, From: e.mailer.From, User: "backup", PasswordFile: wrong, CAFile: e.mailer.CAFile},
		"an unknown certificate": {Address: e.mailer.Address, From: e.mailer.From},
		"nobody there":           {Address: "127.0.0.1:1", From: e.mailer.From},
	} {
		if err := mailer.send(t.Context(), "ops@wolkvox.example", m); !errors.Is(err, errNoServer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, hook := range map[string]Hook{
		"a short secret":         {URL: e.hook.URL, SecretFile: wrong, CAFile: e.hook.CAFile},
		"an unknown certificate": {URL: e.hook.URL, SecretFile: e.hook.SecretFile},
	} {
		if err := hook.send(t.Context(), m, noon); err == nil {
			t.Errorf("%s: sent", name)
		}
	}
	e.answer(http.StatusFound)
	if err := e.hook.send(t.Context(), m, noon); err == nil {
		t.Error("a redirect was taken for an answer")
	}
	if len(e.box.received()) != 0 {
		t.Error("mail was taken")
	}
}

// A server that is told to stop while a message is taken does not send it again afterwards; one that hangs is left alone.
func TestStopWhileSending(t *testing.T) {
	t.Parallel()
	for _, hangs := range []bool{false, true} {
		t.Run(fmt.Sprintf("hangs %v", hangs), func(t *testing.T) {
			t.Parallel()
			e := newEnds(t, false)
			ctx, cancel := context.WithCancel(t.Context())
			over := make(chan struct{})
			web := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				if cancel(); hangs {
					<-over
				}
			}))
			t.Cleanup(web.Close)
			t.Cleanup(func() { close(over) })
			e.hook.URL = web.URL
			a := open(t, e, filepath.Join(t.TempDir(), "alerts.json"), func() []Alert { return []Alert{expiringAt(noon.Add(200 * time.Hour))} }, Recipient{Webhook: e.hook})
			if err := a.LookOnce(t.Context(), noon); err != nil {
				t.Fatal(err)
			}
			if err := a.Deliver(ctx, noon); err != nil {
				t.Fatal(err)
			}
			if wait := len(a.state.Queue) != 0; wait != hangs {
				t.Errorf("it waits: %v", wait)
			}
		})
	}
}
