// Package credential is the operator's credential file: one file with the server's address, the operator's certificate
// and key, and the authority, which is all that a command needs to call the server. What a role may do is not its affair.
//
// The file is PEM after two lines of text, so that one file serves other programs too:
//
//	grpcurl -cacert operator.pem -cert operator.pem -key operator.pem HOST:PORT list
package credential

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
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
	keyBlock         = "PRIVATE KEY" // RFC 7468 §10
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
	key, err := c.key()
	if err != nil {
		return fmt.Errorf("write credential %s: %w", path, err)
	}
	text := fmt.Appendf(nil, "%s\n%s%s\n\n", firstLine, addressKey, c.Server)
	return identity.WritePrivate(path, bytes.Join([][]byte{text, c.certificate(), key, c.authority()}, nil))
}

// SaveParts writes the credential as three files into dir, each of which only its owner can read: [AuthorityPart],
// [CertificatePart] and [KeyPart].
func (c Credential) SaveParts(dir string) error {
	key, err := c.key()
	if err != nil {
		return fmt.Errorf("write credential to %s: %w", dir, err)
	}
	return errors.Join(
		identity.WritePrivate(filepath.Join(dir, KeyPart), key),
		identity.WritePrivate(filepath.Join(dir, CertificatePart), c.certificate()),
		identity.WritePrivate(filepath.Join(dir, AuthorityPart), c.authority()),
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
	certificate, rest := pem.Decode([]byte(blocks))
	private, rest := pem.Decode(rest)
	authority, rest := pem.Decode(rest)
	if certificate == nil || private == nil || authority == nil || len(rest) != 0 ||
		certificate.Type != certificateBlock || private.Type != keyBlock || authority.Type != certificateBlock {
		return Credential{}, errors.New("it does not hold a certificate, a key and the authority's certificate, in this order and no more")
	}
	return assemble(certificate.Bytes, private.Bytes, authority.Bytes, server)
}

func assemble(certificate, private, authority []byte, server string) (Credential, error) {
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		return Credential{}, err
	}
	key, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return Credential{}, err
	}
	ecdsaKey, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return Credential{}, fmt.Errorf("its key is a %T, not ECDSA", key)
	}
	ca, err := x509.ParseCertificate(authority)
	if err != nil {
		return Credential{}, err
	}
	c, err := identity.NewCredential(cert, ecdsaKey, ca)
	return Credential{c, server}, err
}

// CheckServer reports why s is no address HOST:PORT of a server, nil if it is one; port 0 is.
func CheckServer(s string) error {
	if host, ok := strings.CutSuffix(s, ":0"); ok {
		s = host + ":443"
	}
	return join.CheckAddress(s)
}

func (c Credential) key() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.Certificate.PrivateKey)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), nil
}

func (c Credential) certificate() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: c.Certificate.Certificate[0]})
}

func (c Credential) authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: c.Authority.Raw})
}
