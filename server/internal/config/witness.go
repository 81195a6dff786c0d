package config

import (
	"fmt"
	"net/url"

	"github.com/wolkvox/backup/internal/ledger"
)

// Witness is a third party that is asked to cosign the heads of all ledgers.
type Witness struct {
	// URL is where it is, such as https://witness.example/; add-checkpoint is appended.
	URL string `yaml:"url"`
	// Key is its public key, NAME+ID+KEY, as `wolkvox-witness key` prints it.
	Key string `yaml:"key"`
}

func checkWitnesses(all []Witness) error {
	seen := make(map[string]bool)
	for _, w := range all {
		if u, err := url.Parse(w.URL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("witnesses: url is %q; write it like https://witness.example/", w.URL)
		}
		if _, err := ledger.ParseWitnessKey(w.Key); err != nil {
			return fmt.Errorf("witnesses: the key of %s: %w", w.URL, err)
		}
		if seen[w.Key] {
			return fmt.Errorf("witnesses: the key of %s stands there twice", w.URL)
		}
		seen[w.Key] = true
	}
	return nil
}
