package enroll

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/join"
	"github.com/wolkvox/backup/internal/wire"
)

var limitStart = time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)

// take asks as often as it may, at most max times, and returns how often that was.
func take(l *limits, address string, at time.Time, max int) (n int) {
	for n < max && l.wait(netip.MustParseAddr(address), at) == 0 {
		n++
	}
	return n
}

func TestLimitsOfOneAddress(t *testing.T) {
	t.Parallel()
	l := newLimits()
	at := limitStart
	for _, step := range []struct {
		address string
		after   time.Duration
		want    int
	}{
		{"192.0.2.1", 0, perAddressBurst},
		{"::ffff:192.0.2.1", 0, 0}, // the same
		{"192.0.2.1", 10 * time.Second, 10},
		{"192.0.2.2", 0, perAddressBurst},
		{"2001:db8::1", 0, perAddressBurst},
		{"2001:db8::ffff:1", 0, 0}, // the same site
		{"2001:db8:0:1::1", 0, perAddressBurst},
		{"192.0.2.1", time.Hour, perAddressBurst},
	} {
		at = at.Add(step.after)
		if got := take(l, step.address, at, 1000); got != step.want {
			t.Errorf("%s, %v later, may ask %d times, want %d", step.address, step.after, got, step.want)
		}
	}
	if wait := l.wait(netip.MustParseAddr("192.0.2.1"), at); wait <= 0 || l.wait(netip.MustParseAddr("192.0.2.1"), at.Add(wait)) != 0 {
		t.Errorf("it is told to come back in %v, and refused then", wait)
	}
}

func TestLimitsInAll(t *testing.T) {
	t.Parallel()
	l := newLimits()
	total := 0
	for i := range 20 {
		total += take(l, fmt.Sprintf("192.0.2.%d", i), limitStart, 1000)
	}
	if total != inAllBurst {
		t.Errorf("%d may ask at once, want %d", total, inAllBurst)
	}
	if got := take(l, "192.0.2.200", limitStart.Add(time.Second), 1000); got != int(inAll) {
		t.Errorf("%d may ask a second later, want %v", got, inAll)
	}
}

// However many addresses ask, what is remembered is bounded, and who asks too often stays known.
func TestLimitsAreBounded(t *testing.T) {
	t.Parallel()
	l := newLimits()
	at := limitStart
	take(l, "192.0.2.1", at, 1000)
	for i := range 3 * maxAddresses {
		at = at.Add(time.Millisecond)
		var random [16]byte
		rand.Read(random[:])
		l.wait(netip.AddrFrom16(random), at)
		if i%1000 == 0 && take(l, "192.0.2.1", at, 1000) > 2 {
			t.Fatalf("after %d others, who asked too often may ask again", i)
		}
	}
	if len(l.addresses) > maxAddresses {
		t.Errorf("%d addresses are remembered, want at most %d", len(l.addresses), maxAddresses)
	}
	at = at.Add(time.Hour)
	if got := take(l, "198.51.100.1", at, 1000); got != perAddressBurst {
		t.Errorf("an hour later a new address may ask %d times", got)
	}
}

func TestEnrollIsLimited(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	secret, origin := f.newToken(t, "acme", "nas", time.Now(), time.Hour)
	a := newMachine(t, agentA)
	unknown := join.NewSecret()
	refused := false
	for range 3 * perAddressBurst {
		_, err := f.enroll(t, &backupv1.EnrollRequest{Secret: unknown[:]})
		if wire.Reason(err) != wire.ReasonTryLater {
			continue
		}
		if after, ok := wire.RetryAfter(err); status.Code(err) != codes.Unavailable || !ok || after <= 0 {
			t.Errorf("%v, come back after %v", err, after)
		}
		refused = true
		break
	}
	if !refused {
		t.Fatal("nobody was told to come back later")
	}
	f.service.limits.mu.Lock()
	for _, own := range f.service.limits.addresses {
		own.SetLimit(0.001) // so that none is let in because this test took a second
	}
	f.service.limits.mu.Unlock()
	// Whoever has the secret is no exception, and nothing of it was used up.
	_, err := f.enroll(t, a.request(t, secret, origin))
	wantReason(t, "with the secret", err, codes.Unavailable, wire.ReasonTryLater)
	f.service.limits = newLimits()
	_, err = f.enroll(t, a.request(t, secret, origin))
	check(t, err)
}

// Whoever does not hold a secret gets the same answer, byte for byte, whatever became of the tokens that there are.
func TestTokensAreNotToldApart(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	now := time.Now()
	open, openOrigin := f.newToken(t, "acme", "nas", now, time.Hour)
	expired, expiredOrigin := f.newToken(t, "acme", "s3", now.Add(-2*time.Hour), time.Hour)
	used, usedOrigin := f.newToken(t, "acme", "used", now, time.Hour)
	ended, endedOrigin := f.newToken(t, "other", "nas", now, time.Hour)
	_, err := f.enroll(t, newMachine(t, agentA).request(t, used, usedOrigin))
	check(t, err)
	_, err = f.enroll(t, newMachine(t, agentB).request(t, ended, endedOrigin))
	check(t, err)
	check(t, f.registry.RevokeAgent("other", agentB, now))

	var want *status.Status
	m := newMachine(t, "cccccccccccccccc")
	ask := func(what string, request *backupv1.EnrollRequest) {
		_, err := f.enroll(t, request)
		got := status.Convert(err)
		if want == nil {
			want = got
		}
		if wire.Reason(err) != wire.ReasonTokenInvalid || !proto.Equal(got.Proto(), want.Proto()) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	for what, near := range map[string]struct {
		secret join.Secret
		origin string
	}{
		"one that is open": {open, string(openOrigin)}, "one that expired": {expired, string(expiredOrigin)},
		"one that was used": {used, string(usedOrigin)}, "one of a revoked agent": {ended, string(endedOrigin)},
	} {
		request := m.request(t, near.secret, openOrigin)
		for _, i := range []int{0, len(request.Secret) - 1} {
			wrong := proto.CloneOf(request)
			wrong.Secret[i] ^= 1
			ask("all but a bit of "+what, wrong)
		}
		shorter, longer := proto.CloneOf(request), proto.CloneOf(request)
		shorter.Secret = shorter.Secret[:len(shorter.Secret)-1]
		longer.Secret = append(longer.Secret, 0)
		ask("all but a byte of "+what, shorter)
		ask("more than "+what, longer)
		hash := near.secret.Hash()
		ask("the hash of "+what, &backupv1.EnrollRequest{Secret: hash[:]})
	}
	ask("nothing", &backupv1.EnrollRequest{})
	ask("a request that is none", &backupv1.EnrollRequest{Secret: []byte("x"), CertificateRequest: []byte("x")})
}

func TestRevokedAgentCannotEnrol(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	secret, origin := f.newToken(t, "acme", "nas", time.Now(), time.Hour)
	a := newMachine(t, agentA)
	_, err := f.enroll(t, a.request(t, secret, origin))
	check(t, err)
	check(t, f.registry.RevokeAgent("acme", agentA, time.Now()))
	_, err = f.enroll(t, a.request(t, secret, origin))
	wantReason(t, "the answer of before", err, codes.PermissionDenied, wire.ReasonRevoked)
	secret, origin = f.newToken(t, "acme", "s3", time.Now(), time.Hour)
	_, err = f.enroll(t, a.request(t, secret, origin))
	wantReason(t, "a new token", err, codes.PermissionDenied, wire.ReasonRevoked)
	renamed := *a
	renamed.name = agentB
	_, err = f.enroll(t, renamed.request(t, secret, origin))
	wantReason(t, "the same key by another name", err, codes.PermissionDenied, wire.ReasonRevoked)
	_, err = f.enroll(t, newMachine(t, agentB).request(t, secret, origin))
	check(t, err)
}
