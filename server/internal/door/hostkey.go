package door

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/wolkvox/backup/internal/identity"
)

// HostKeyFile is the name of the file with the door's private host key.
const HostKeyFile = "door.key"

// HostKey is by what clients know the door.
type HostKey struct{ signer ssh.Signer }

// LoadHostKey reads the host key, an Ed25519 key in OpenSSH's own form that only its owner can read, and makes it where there is
// none.
func LoadHostKey(path string) (HostKey, error) {
	text, err := identity.ReadPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeHostKey(path)
	}
	if err != nil {
		return HostKey{}, fmt.Errorf("read the door's host key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return HostKey{}, fmt.Errorf("read the door's host key %s: %w; put it back from a backup: clients know the door by it", path, err)
	}
	return HostKey{signer}, nil
}

func makeHostKey(path string) (HostKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return HostKey{}, fmt.Errorf("make the door's host key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return HostKey{}, fmt.Errorf("make the door's host key: %w", err)
	}
	if err := identity.WritePrivate(path, pem.EncodeToMemory(block)); err != nil {
		return HostKey{}, fmt.Errorf("make the door's host key: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return HostKey{}, fmt.Errorf("make the door's host key: %w", err)
	}
	return HostKey{signer}, nil
}

// Fingerprint returns SHA256:…, as ssh-keygen -l and SFTP clients show it.
func (k HostKey) Fingerprint() string { return ssh.FingerprintSHA256(k.signer.PublicKey()) }

// PublicKey returns the key as a known_hosts file has it behind the names.
func (k HostKey) PublicKey() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.signer.PublicKey())))
}
