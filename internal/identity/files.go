package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/wolkvox/backup/internal/durable"
)

// The names of the files that keys and certificates are kept in, all in PEM; private keys are PKCS #8.
const (
	KeyFile           = "tls.key"       // the holder's private key
	CertificateFile   = "tls.crt"       // the holder's certificate
	AuthorityFile     = "authority.pem" // the authority: its issuer's private key, and all its certificates
	rootKeyPrefix     = "root-"         // then the first 16 characters of the root's pin, and ".key": its private key
	rootKeySuffix     = ".key"
	SelfIssuedFile    = "authority.crt" // of the earlier form: the authority's one certificate, also where a caller trusts it
	selfIssuedKeyFile = "authority.key" // of the earlier form: the authority's private key
)

const (
	keyBlock         = "PRIVATE KEY" // RFC 7468 §10
	certificateBlock = "CERTIFICATE" // RFC 7468 §5
)

// CheckKey reports why a public key cannot be in a certificate here: it has to be ECDSA on P-256.
func CheckKey(public crypto.PublicKey) error {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("the key is a %T, not ECDSA on P-256", public)
	}
	if key.Curve != elliptic.P256() {
		return fmt.Errorf("the key is ECDSA on %s, not on P-256", key.Params().Name)
	}
	return nil
}

// SaveKey writes a private key that only its owner can read, durably; a file of that name is replaced.
func SaveKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write private key %s: %w", path, err)
	}
	return WritePrivate(path, pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}))
}

// LoadKey reads a private key that [SaveKey] wrote. It refuses a file that others than its owner can read. The
// error is [os.ErrNotExist] where there is no such file.
func LoadKey(path string) (*ecdsa.PrivateKey, error) {
	data, err := ReadPrivate(path)
	if err != nil {
		return nil, err
	}
	der, err := decodePEM(data, keyBlock)
	if err != nil {
		return nil, fmt.Errorf("read private key %s: %w", path, err)
	}
	key, err := parseKey(der)
	if err != nil {
		return nil, fmt.Errorf("read private key %s: %w", path, err)
	}
	return key, nil
}

func parseKey(der []byte) (*ecdsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("it is a %T, not ECDSA", parsed)
	}
	return key, CheckKey(key.Public())
}

// WritePrivate writes a file that only its owner can read, durably; a file of that name is replaced.
func WritePrivate(path string, data []byte) error {
	if err := durable.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// ReadPrivate reads a file that holds a secret, and refuses it where others than its owner can read or change it.
// On Windows the folder's access list guards it, and the mode says nothing.
func ReadPrivate(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read secret file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read secret file: %w", err)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return nil, fmt.Errorf("secret file %s can be used by others than its owner (mode %04o): run chmod 600 %s", path, mode, path)
	}
	data := make([]byte, info.Size())
	if n, err := file.ReadAt(data, 0); err != nil {
		return nil, fmt.Errorf("read secret file %s, %d of %d bytes: %w", path, n, len(data), err)
	}
	return data, nil
}

// ReadSecret reads a file whose one line is a secret, such as a password, as [ReadPrivate] does. One that is empty is an error.
func ReadSecret(path string) (string, error) {
	data, err := ReadPrivate(path)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return "", fmt.Errorf("the secret file %s is empty", path)
	}
	return text, nil
}

// SaveCertificate writes a certificate, given in DER, durably; a file of that name is replaced.
func SaveCertificate(path string, der []byte) error {
	return WritePrivate(path, pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der}))
}

// LoadCertificate reads a file of exactly one certificate. The error is [os.ErrNotExist] where there is none.
func LoadCertificate(path string) (*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	der, err := decodePEM(data, certificateBlock)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", path, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", path, err)
	}
	return cert, nil
}

// decodeBlocks reads PEM blocks, of these two types only, to the end of data.
func decodeBlocks(data []byte) (keys, certificates [][]byte, err error) {
	for len(bytes.TrimSpace(data)) > 0 {
		block, rest := pem.Decode(data)
		switch {
		case block == nil:
			return nil, nil, errors.New("it is not PEM throughout")
		case block.Type == keyBlock:
			keys = append(keys, block.Bytes)
		case block.Type == certificateBlock:
			certificates = append(certificates, block.Bytes)
		default:
			return nil, nil, fmt.Errorf("it holds a PEM block of type %q", block.Type)
		}
		data = rest
	}
	return keys, certificates, nil
}

// parseKeyAndCertificates reads PEM with exactly one private key and at least one certificate.
func parseKeyAndCertificates(data []byte) (*ecdsa.PrivateKey, []*x509.Certificate, error) {
	keys, ders, err := decodeBlocks(data)
	if err != nil {
		return nil, nil, err
	}
	if len(keys) != 1 || len(ders) == 0 {
		return nil, nil, fmt.Errorf("it holds %d private keys and %d certificates", len(keys), len(ders))
	}
	key, err := parseKey(keys[0])
	if err != nil {
		return nil, nil, err
	}
	certs, err := ParseCertificates(ders)
	return key, certs, err
}

// formatKeyAndCertificates is the inverse of parseKeyAndCertificates.
func formatKeyAndCertificates(key *ecdsa.PrivateKey, ders [][]byte) ([]byte, error) {
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode private key: %w", err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: private})
	for _, der := range ders {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der})...)
	}
	return data, nil
}

// ParseCertificates reads certificates in DER, such as the answers to an agent's requests hold.
func ParseCertificates(ders [][]byte) ([]*x509.Certificate, error) {
	certs := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		var err error
		if certs[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("read certificate %d of %d: %w", i+1, len(ders), err)
		}
	}
	return certs, nil
}

func decodePEM(data []byte, kind string) ([]byte, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != kind || len(rest) != 0 {
		return nil, fmt.Errorf("it is not one PEM block of type %q", kind)
	}
	return block.Bytes, nil
}
