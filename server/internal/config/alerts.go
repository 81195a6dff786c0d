package config

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"path/filepath"
)

// Alerts says who is told what people have to do something about; nobody where it is not set.
type Alerts struct {
	// SMTP is how mail is sent; required where anybody has an address.
	SMTP *SMTP `yaml:"smtp"`
	// Operator is told of all tenants.
	Operator Recipients `yaml:"operator"`
	// Tenants are told of what is theirs, by name.
	Tenants map[string]Recipients `yaml:"tenants"`
}

// Recipients are whom and what to tell.
type Recipients struct {
	// Mail are addresses, such as it@acme.example.
	Mail []string `yaml:"mail"`
	// Webhook is called with the same.
	Webhook *Webhook `yaml:"webhook"`
	// Language is en or es; en where not set.
	Language string `yaml:"language"`
}

// SMTP is a server that takes mail, always over TLS.
type SMTP struct {
	// Address is HOST:PORT: with port 465 TLS begins at once, otherwise with STARTTLS.
	Address string `yaml:"address"`
	// From is the sender's address.
	From string `yaml:"from"`
	// User and PasswordFile, a file of one line that only the server may read, log in; both or none.
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	// CAFile has the authorities that are trusted instead of the system's.
	CAFile string `yaml:"ca_file"`
	// ImplicitTLS has TLS begin at once at other ports too.
	ImplicitTLS bool `yaml:"implicit_tls"`
}

// Webhook is a URL that messages are posted to.
type Webhook struct {
	// URL begins with https://.
	URL string `yaml:"url"`
	// SecretFile is a file of one line that only the server may read: what messages are signed with, at least 24 bytes,
	// in base64 after "whsec_".
	SecretFile string `yaml:"secret_file"`
	// CAFile has the authorities that are trusted instead of the system's.
	CAFile string `yaml:"ca_file"`
}

func (a *Alerts) check() error {
	wantsMail := len(a.Operator.Mail) > 0
	if err := a.Operator.check(); err != nil {
		return fmt.Errorf("alerts: operator: %w", err)
	}
	for name, r := range a.Tenants {
		wantsMail = wantsMail || len(r.Mail) > 0
		if err := r.check(); err != nil {
			return fmt.Errorf("alerts: tenants: %s: %w", name, err)
		}
	}
	if a.SMTP == nil {
		if wantsMail {
			return errors.New("alerts: somebody has a mail address, but there is no smtp; say by which server mail is sent")
		}
		return nil
	}
	return a.SMTP.check()
}

func (s *SMTP) check() error {
	if _, port, err := net.SplitHostPort(s.Address); err != nil || !isPort(port) {
		return fmt.Errorf("alerts: smtp: address is %q; write it like mail.example.com:587", s.Address)
	}
	if _, err := mail.ParseAddress(s.From); err != nil {
		return fmt.Errorf("alerts: smtp: from is %q; write it like backup@example.com", s.From)
	}
	if (s.User == "") != (s.PasswordFile == "") {
		return errors.New("alerts: smtp: give user and password_file both, or none of them")
	}
	return checkFiles("alerts: smtp", s.PasswordFile, s.CAFile)
}

func (r Recipients) check() error {
	for _, address := range r.Mail {
		if parsed, err := mail.ParseAddress(address); err != nil || parsed.Address != address {
			return fmt.Errorf("mail has %q; write it like it@acme.example", address)
		}
	}
	if r.Language != "" && r.Language != "en" && r.Language != "es" {
		return fmt.Errorf("language is %q; give en or es", r.Language)
	}
	if r.Webhook == nil {
		return nil
	}
	if u, err := url.Parse(r.Webhook.URL); err != nil || u.Host == "" || u.Scheme != "https" {
		return fmt.Errorf("webhook: url is %q; write it like https://hooks.acme.example/backup", r.Webhook.URL)
	}
	if r.Webhook.SecretFile == "" {
		return errors.New("webhook: there is no secret_file; messages are always signed")
	}
	return checkFiles("webhook", r.Webhook.SecretFile, r.Webhook.CAFile)
}

func checkFiles(what string, names ...string) error {
	for _, name := range names {
		if name != "" && !filepath.IsAbs(name) {
			return fmt.Errorf("%s: %q is a relative path; give an absolute one", what, name)
		}
	}
	return nil
}
