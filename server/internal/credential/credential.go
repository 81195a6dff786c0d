// Package credential is the operator's credential file: one file with the server's address, the operator's key and
// certificate, and the authority's certificates, which is all that a command needs to call the server. What a role may do is not its affair.
//
// The file is PEM after two lines of text, so that one file serves other programs too:
//
//	grpcurl -cacert operator.pem -cert operator.pem -key operator.pem HOST:PORT list
package credential

import (
	"crypto/ecdsa"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/join"
)

const (
	firstLine        = "wolkvox-server operator credential v1"
	addressKey       = "server "
	certificateBlock = "CERTIFICATE" // RFC 7468 §5
)

// The names of the files that [Credential.SaveParts] writes.
const (
	AuthorityPart   = "ca.pem"
	CertificatePart = "operator.pem"
	KeyPart         = "operator-key.pem"
)

// Credential is what an operator calls a server with.
type Credential struct {
	identity.Credential
	Server string // HOST:PORT; port 0 where the server listens at a port that is not known beforehand
}

// Save writes the file, which only its owner can read, durably; a file of that name is replaced.
func (c Credential) Save(path string) error {
	data, err := c.Format()
	if err != nil {
		return fmt.Errorf("write credential %s: %w", path, err)
	}
	text := fmt.Appendf(nil, "%s\n%s%s\n\n", firstLine, addressKey, c.Server)
	return identity.WritePrivate(path, append(text, data...))
}

// SaveParts writes the credential as three files into dir, each of which only its owner can read: [AuthorityPart],
// [CertificatePart] and [KeyPart].
func (c Credential) SaveParts(dir string) error {
	key, ok := c.Certificate.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return fmt.Errorf("write credential to %s: its key is a %T", dir, c.Certificate.PrivateKey)
	}
	var roots [][]byte
	for _, root := range c.Roots() {
		roots = append(roots, root.Raw)
	}
	return errors.Join(
		identity.SaveKey(filepath.Join(dir, KeyPart), key),
		identity.WritePrivate(filepath.Join(dir, CertificatePart), encode(c.Certificate.Certificate...)),
		identity.WritePrivate(filepath.Join(dir, AuthorityPart), encode(roots...)),
	)
}

// Load reads a file that [Credential.Save] wrote. It refuses one that others than its owner can read.
func Load(path string) (Credential, error) {
	data, err := identity.ReadPrivate(path)
	if err != nil {
		return Credential{}, err
	}
	c, err := parse(data)
	if err != nil {
		return Credential{}, fmt.Errorf("read credential %s: %w", path, err)
	}
	return c, nil
}

func parse(data []byte) (Credential, error) {
	text, blocks, _ := strings.Cut(string(data), "\n\n")
	first, server, _ := strings.Cut(text, "\n"+addressKey)
	if first != firstLine {
		return Credential{}, fmt.Errorf("its first line is not %q", firstLine)
	}
	if err := CheckServer(server); err != nil {
		return Credential{}, err
	}
	c, err := identity.ParseCredential([]byte(blocks))
	return Credential{c, server}, err
}

// CheckServer reports why s is no address HOST:PORT of a server, nil if it is one; port 0 is.
func CheckServer(s string) error {
	if host, ok := strings.CutSuffix(s, ":0"); ok {
		s = host + ":443"
	}
	return join.CheckAddress(s)
}

// encode returns certificates as PEM.
func encode(ders ...[]byte) []byte {
	var data []byte
	for _, der := range ders {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der})...)
	}
	return data
}
