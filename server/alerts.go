package server

import (
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/wolkvox/backup/server/internal/alerts"
	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/expiring"
)

// openAlerts returns what tells people that they have to do something.
func openAlerts(c config.Config, reader expiring.Reader, certificateEnds func() map[string]time.Time, log *slog.Logger) (*alerts.Alerts, error) {
	looker := alerts.Looker{Reader: reader, CertificateEnds: certificateEnds}
	o := alerts.Options{Recipients: recipients("", c.Alerts.Operator), Path: filepath.Join(c.StateDir, alertsFile), Look: looker.Look, Logger: log}
	for _, tenant := range slices.Sorted(maps.Keys(c.Alerts.Tenants)) {
		o.Recipients = append(o.Recipients, recipients(tenant, c.Alerts.Tenants[tenant])...)
	}
	if s := c.Alerts.SMTP; s != nil {
		o.Mailer = &alerts.Mailer{Address: s.Address, From: s.From, User: s.User, PasswordFile: s.PasswordFile, CAFile: s.CAFile, ImplicitTLS: s.ImplicitTLS}
	}
	return alerts.Open(o)
}

func recipients(tenant string, r config.Recipients) (all []alerts.Recipient) {
	for _, address := range r.Mail {
		all = append(all, alerts.Recipient{Tenant: tenant, Mail: address, Language: r.Language})
	}
	if h := r.Webhook; h != nil {
		all = append(all, alerts.Recipient{Tenant: tenant, Webhook: &alerts.Hook{URL: h.URL, SecretFile: h.SecretFile, CAFile: h.CAFile}, Language: r.Language})
	}
	return all
}
