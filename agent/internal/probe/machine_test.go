package probe

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
	"github.com/wolkvox/backup/agent/internal/uplink"
	"github.com/wolkvox/backup/internal/wire"
)

func TestMachine(t *testing.T) {
	t.Parallel()
	server := func(err error) func(*Config) {
		return func(c *Config) { c.Server = func(context.Context) error { return err } }
	}
	clock := func(offset time.Duration, known bool) func(*Config) {
		return func(c *Config) { c.ClockOffset = func() (time.Duration, bool) { return offset, known } }
	}
	certificate := func(left time.Duration, renewal error) func(*Config) {
		return func(c *Config) {
			c.CertificateEnd, c.Renewal = func() time.Time { return noon.Add(left) }, func() error { return renewal }
		}
	}
	for name, test := range map[string]struct {
		change func(*Config)
		want   want
		code   string
	}{
		"unreachable server": {server(fmt.Errorf("%w: connection refused", uplink.ErrUnreachable)), want{SubjectServer, backup.CheckBad, []string{"cannot be reached", "refused"}}, "UNREACHABLE"},
		"a proxy that re-signs TLS": {server(&uplink.InterceptedError{Address: "server.example:443", Issuer: "CN=Fortinet", Proxy: "proxy:3128"}),
			want{SubjectServer, backup.CheckBad, []string{"proxy:3128", "CN=Fortinet", "except server.example:443"}}, "TLS_INTERCEPTED"},
		"a revoked agent": {server(wire.Error(codes.PermissionDenied, wire.ReasonRevoked, "it was revoked")),
			want{SubjectServer, backup.CheckBad, []string{"revoked", "wolkvox-agent enroll"}}, "REFUSED"},
		"a server that fails":  {server(errX), want{SubjectServer, backup.CheckBad, []string{"server.example:443", "input/output"}}, "SERVER"},
		"clock ahead":          {clock(10*time.Minute, true), want{SubjectClock, backup.CheckWarning, []string{"10 minutes ahead of", "correct it"}}, "CLOCK_OFFSET"},
		"clock behind":         {clock(-2*time.Minute, true), want{SubjectClock, backup.CheckWarning, []string{"2 minutes behind"}}, "CLOCK_OFFSET"},
		"clock nearly right":   {clock(-119*time.Second, true), want{SubjectClock, backup.CheckGood, nil}, ""},
		"clock not known":      {clock(0, false), want{SubjectClock, backup.CheckUnknown, nil}, ""},
		"certificate ended":    {certificate(-time.Second, nil), want{SubjectCertificate, backup.CheckBad, []string{"ended on 2026-03-01", "enroll"}}, "CERTIFICATE_EXPIRED"},
		"certificate ends":     {certificate(13*24*time.Hour, errX), want{SubjectCertificate, backup.CheckWarning, []string{"13 days", "input/output"}}, "CERTIFICATE_ENDS"},
		"certificate is young": {certificate(14*24*time.Hour, nil), want{SubjectCertificate, backup.CheckGood, []string{"14 days"}}, ""},
		"state volume full": {func(c *Config) {
			c.StateRoom = func() error { return errors.New("the volume of /var/lib/x has 3 MiB free") }
		},
			want{SubjectState, backup.CheckBad, []string{"/var/lib/x"}}, "STATE_ROOM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := initialised(t, well(t, memdest.New()))
			test.change(&c)
			report := run(t, New(c))
			test.want.in(t, report)
			if line := lineOf(report, test.want.subject); line.Code != test.code {
				t.Errorf("the code is %q, want %q", line.Code, test.code)
			}
			if test.want.verdict == backup.CheckBad {
				onlyBad(t, report, test.want.subject)
			}
			want{SubjectDelete, backup.CheckGood, nil}.in(t, report) // the place is looked at all the same
		})
	}
}
