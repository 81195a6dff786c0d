package identity

import (
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"testing"
	"time"
)

const agentName = "0123456789abcdef"

func TestRoleForms(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		role Role
		uri  string
	}{
		{AgentRole("acme", agentName), "wolkvox://role/agent/acme/0123456789abcdef"},
		{ClientRole("acme", "ana"), "wolkvox://role/client/acme/ana"},
		{AuditorRole("acme", "big-four"), "wolkvox://role/auditor/acme/big-four"},
		{PlatformRole("acme", "recorder"), "wolkvox://role/platform/acme/recorder"},
		{OperatorRole("first"), "wolkvox://role/operator/first"},
	} {
		if got := test.role.String(); got != test.uri {
			t.Errorf("String = %s, want %s", got, test.uri)
		}
		if got, err := ParseRole(test.uri); err != nil || got != test.role {
			t.Errorf("ParseRole(%s) = %v, %v, want %v", test.uri, got, err, test.role)
		}
	}
}

var noRoles = []string{
	"", "wolkvox://role/", "wolkvox://role/agent", "wolkvox://role/agent/", "wolkvox://role/agent/acme",
	"wolkvox://role/agent/acme/", "wolkvox://role/agent/acme/0123456789ABCDEF", "wolkvox://role/agent/acme/0123456789abcdef/",
	"wolkvox://role/agent/acme/0123456789abcdef?tenant=other", "wolkvox://role/agent/acme/0123456789abcdef#x",
	"wolkvox://role/agent//0123456789abcdef", "wolkvox://role/agent/a%63me/0123456789abcdef", "wolkvox://role/agent/../0123456789abcdef",
	"WOLKVOX://role/operator/first", "wolkvox://ROLE/operator/first", "wolkvox://role/Operator/first", "wolkvox://role/operator",
	"wolkvox://role/operator/", "wolkvox://role/operator/first/second", "wolkvox://role/operator/first ",
	"wolkvox://role/auditor/first", "wolkvox://role/auditor/acme/", "wolkvox://role/client//first", "wolkvox://role/client/acme/first/second",
	"wolkvox://role/client/acme/First", "wolkvox://role/owner/acme/first", "wolkvox://role//acme/first", "https://role/operator/first",
}

func TestUnknownRolesAreRefused(t *testing.T) {
	t.Parallel()
	for _, uri := range noRoles {
		if role, err := ParseRole(uri); !errors.Is(err, ErrRole) || role != (Role{}) {
			t.Errorf("ParseRole(%q) = %v, %v, want ErrRole", uri, role, err)
		}
	}
}

func FuzzParseRole(f *testing.F) {
	for _, uri := range append(noRoles, AgentRole("acme", agentName).String(), ClientRole("acme", "ana").String(), AuditorRole("acme", "ana").String(), PlatformRole("acme", "ana").String(), OperatorRole("first").String()) {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		role, err := ParseRole(uri)
		if err == nil && (role.String() != uri || role.Check() != nil) {
			t.Errorf("ParseRole(%q) = %#v, which is written %q, check %v", uri, role, role, role.Check())
		}
	})
}

func TestRoleOfWantsExactlyOneName(t *testing.T) {
	t.Parallel()
	operator, err := url.Parse(OperatorRole("first").String())
	if err != nil {
		t.Fatal(err)
	}
	if role, err := RoleOf(&x509.Certificate{URIs: []*url.URL{operator}}); err != nil || role != OperatorRole("first") {
		t.Errorf("RoleOf = %v, %v, want the operator", role, err)
	}
	for what, cert := range map[string]*x509.Certificate{
		"no name":         {},
		"two roles":       {URIs: []*url.URL{operator, operator}},
		"a DNS name":      {URIs: []*url.URL{operator}, DNSNames: []string{"backup.wolkvox.com"}},
		"only a DNS name": {DNSNames: []string{"wolkvox://role/operator/first"}},
		"an address":      {URIs: []*url.URL{operator}, IPAddresses: []net.IP{net.IPv6loopback}},
		"a mailbox":       {URIs: []*url.URL{operator}, EmailAddresses: []string{"first@wolkvox.com"}},
	} {
		if role, err := RoleOf(cert); !errors.Is(err, ErrRole) {
			t.Errorf("%s: RoleOf = %v, %v, want ErrRole", what, role, err)
		}
	}
}

func TestIssuePerson(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	authority, err := NewAuthority(at)
	if err != nil {
		t.Fatal(err)
	}
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	serials := map[string]bool{}
	for _, role := range []Role{OperatorRole("maria"), ClientRole("acme", "ana"), AuditorRole("acme", "ana"), PlatformRole("acme", "ana")} {
		cert, err := authority.IssuePerson(key.Public(), role, at)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := RoleOf(cert); err != nil || got != role || !cert.NotAfter.Equal(at.Add(OperatorLifetime)) {
			t.Errorf("the certificate is of %v, %v, until %v, want %v", got, err, cert.NotAfter, role)
		}
		serials[Serial(cert)] = true
	}
	if len(serials) != 4 {
		t.Errorf("four certificates have the serial numbers %v", serials)
	}
	for _, role := range []Role{{}, AgentRole("acme", agentName), ClientRole("", "ana"), AuditorRole("acme", "Ana"), {KindOperator, "acme", "ana"}} {
		if _, err := authority.IssuePerson(key.Public(), role, at); err == nil {
			t.Errorf("issued a certificate for %+v", role)
		}
	}
}
