package enroll

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"

	"google.golang.org/protobuf/proto"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
)

// FuzzApplication reads what anybody who reaches the port may send: what is taken is an application of one agent for
// the log that its secret is bound to, in words that can be printed.
func FuzzApplication(f *testing.F) {
	const origin, agent = ledger.Origin("wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff"), "0123456789abcdef"
	key, err := identity.NewKey()
	if err != nil {
		f.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: agent}}, key)
	if err != nil {
		f.Fatal(err)
	}
	signing, err := ledger.NewSigningKey(origin.AgentKeyName(agent), ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		f.Fatal(err)
	}
	request, err := ledger.SignRequest(origin, signing)
	if err != nil {
		f.Fatal(err)
	}
	good := &backupv1.EnrollRequest{CertificateRequest: csr, AssignRequest: request.Note, HostName: "nas-1", AgentVersion: "v1", Platform: "linux/amd64"}
	if _, err := readApplication(good, origin); err != nil {
		f.Fatal(err)
	}
	encoded, err := proto.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded)
	f.Fuzz(func(t *testing.T, encoded []byte) {
		m := &backupv1.EnrollRequest{}
		if proto.Unmarshal(encoded, m) != nil {
			return
		}
		a, err := readApplication(m, origin)
		if err != nil {
			return
		}
		if ledger.CheckAgentName(a.agent) != nil || identity.CheckKey(a.public) != nil || a.request.Origin != origin ||
			a.request.AgentKey.Name() != origin.AgentKeyName(a.agent) || !isPrintable(m.GetHostName()+m.GetAgentVersion()+m.GetPlatform()) {
			t.Errorf("%v is taken as an application of %q", m, a.agent)
		}
	})
}
