package config

import (
	"strings"
	"testing"
)

func TestAlerts(t *testing.T) {
	t.Parallel()
	const whole = `
state_dir: /var/lib/wolkvox-server
names: [backup.example.com]
alerts:
  smtp: {address: 'mail.example.com:587', from: backup@example.com, user: backup, password_file: /etc/wolkvox/smtp-password, ca_file: /etc/wolkvox/ca.pem}
  operator: {mail: [ops@example.com], webhook: {url: 'https://hooks.example.com/x', secret_file: /etc/wolkvox/hook-secret}}
  tenants:
    acme: {mail: [it@acme.example], language: es}
`
	c, err := Parse([]byte(whole))
	if err != nil || c.Alerts.SMTP.Address != "mail.example.com:587" || c.Alerts.Tenants["acme"].Language != "es" || c.Alerts.Operator.Webhook.URL == "" {
		t.Fatalf("%+v, %v", c.Alerts, err)
	}
	for old, wrong := range map[string][2]string{
		"mail.example.com:587":                          {"mail.example.com", "address"},
		"from: backup@example.com":                      {"from: nobody", "from"},
		"user: backup, ":                                {"", "password_file"},
		"/etc/wolkvox/smtp-password":                    {"smtp-password", "absolute"},
		"it@acme.example":                               {"Ana <it@acme.example>", "tenants: acme: mail"},
		"language: es":                                  {"language: fr", "language"},
		"https://hooks":                                 {"http://hooks", "url"},
		", secret_file: /etc/wolkvox/hook-secret":       {"", "secret_file"},
		"smtp: {address: 'mail.example.com:587', from:": {"smtpx: {", "smtpx"},
	} {
		if _, err := Parse([]byte(strings.Replace(whole, old, wrong[0], 1))); err == nil || !strings.Contains(err.Error(), wrong[1]) {
			t.Errorf("%q instead of %q: %v", wrong[0], old, err)
		}
	}
	_, after, _ := strings.Cut(whole, "  operator:")
	if _, err := Parse([]byte("state_dir: /a\nnames: [b.example]\nalerts:\n  operator:" + after)); err == nil || !strings.Contains(err.Error(), "no smtp") {
		t.Errorf("addresses without a server: %v", err)
	}
}
