// Package secret reads the passwords and keys that the configuration points to: from a file that nobody else can read,
// from the environment, or from the system's own store. The configuration never holds a secret itself. It keeps nothing
// after a read, so that a changed secret is used at the next connection, and no error of it shows a secret.
package secret

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Source says where a secret is; exactly one field is set.
type Source struct {
	// File is the absolute path of a file that only the agent's user (and the system) can read. One line end at its end is
	// not part of a password.
	File string `yaml:"file"`
	// Environment is the name of a variable of the agent's environment.
	Environment string `yaml:"environment"`
	// Credential is a name in the system's own store: a systemd credential (LoadCredential=), or on Windows a generic
	// credential of the service's account.
	Credential string `yaml:"credential"`
}

// Check says what is wrong with where the secret is said to be; it reads nothing.
func (s *Source) Check() error {
	set := 0
	for _, v := range []string{s.File, s.Environment, s.Credential} {
		if v != "" {
			set++
		}
	}
	if set != 1 {
		return errors.New("give exactly one of file, environment and credential")
	}
	if s.File != "" && !filepath.IsAbs(s.File) {
		return fmt.Errorf("file is %q; give an absolute path", s.File)
	}
	return nil
}

// Read returns the secret's bytes as they are. The error names the place and the remedy, and wraps the system's error.
func (s *Source) Read() ([]byte, error) {
	switch {
	case s.File != "":
		data, err := os.ReadFile(s.File)
		if err != nil {
			return nil, fmt.Errorf("read a secret: %w", err)
		}
		return data, nil
	case s.Environment != "":
		value, ok := os.LookupEnv(s.Environment)
		if !ok {
			return nil, fmt.Errorf("read a secret: the environment has no variable %s", s.Environment)
		}
		return []byte(value), nil
	}
	return nil, fmt.Errorf("read a secret: no store has a credential %q", s.Credential)
}

// Text returns the secret without one line end at its end, as passwords are.
func (s *Source) Text() (string, error) {
	data, err := s.Read()
	text := strings.TrimSuffix(string(data), "\n")
	return strings.TrimSuffix(text, "\r"), err
}
