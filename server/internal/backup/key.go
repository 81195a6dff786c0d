package backup

import (
	"fmt"
	"time"

	"filippo.io/age"
)

// GenerateKey makes a new key for backups, at the instant at: the text of an identity file, as age-keygen writes it,
// which is a secret, and the recipient that backups are encrypted to, which is none.
func GenerateKey(at time.Time) (identity []byte, recipient string, err error) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, "", fmt.Errorf("make a key for backups: %w", err)
	}
	recipient = key.Recipient().String()
	return fmt.Appendf(nil, "# created: %s\n# public key: %s\n%s\n", at.UTC().Format(time.RFC3339), recipient, key), recipient, nil
}

// parseRecipient does not show the text in its error: somebody may have given the identity instead.
func parseRecipient(text string) (*age.X25519Recipient, error) {
	to, err := age.ParseX25519Recipient(text)
	if err != nil {
		return nil, ErrRecipient
	}
	return to, nil
}
