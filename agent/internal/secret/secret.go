// Package secret reads the passwords and keys that the configuration points to: from a file that nobody else can read,
// from the environment, or from the system's own store. The configuration never holds a secret itself. It keeps nothing
// after a read, so that a changed secret is used at the next connection, and no error of it shows a secret.
package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxBytes bounds a secret: private keys have a few thousand bytes.
const maxBytes = 64 << 10

// ErrExposed says that others than the agent, its administrators and the system can read the file.
var ErrExposed = errors.New("others can read the secret")

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
	switch {
	case set != 1:
		return errors.New("give exactly one of file, environment and credential")
	case s.File != "" && !filepath.IsAbs(s.File):
		return fmt.Errorf("file is %q; give an absolute path", s.File)
	case strings.ContainsAny(s.Environment, "=\x00"):
		return fmt.Errorf("environment is %q; give the name of a variable", s.Environment)
	case s.Credential != "":
		return checkCredential(s.Credential)
	}
	return nil
}

// Read returns the secret's bytes as they are, at least one and at most 64 KiB. The error names the place and the remedy, and
// wraps the system's error; it is [ErrExposed] where others can read the file.
func (s *Source) Read() ([]byte, error) {
	data, err := s.read()
	switch {
	case err != nil:
		return nil, fmt.Errorf("read a secret: %w", err)
	case len(data) > maxBytes:
		return nil, fmt.Errorf("read a secret: %s holds more than %d bytes: it is no password and no key", s.place(), maxBytes)
	case len(bytes.Trim(data, "\r\n")) == 0:
		return nil, fmt.Errorf("read a secret: %s is empty", s.place())
	}
	return data, nil
}

// Text returns the secret without one line end at its end, as passwords are; the errors are those of [Source.Read].
func (s *Source) Text() (string, error) {
	data, err := s.Read()
	text := strings.TrimSuffix(string(data), "\n")
	return strings.TrimSuffix(text, "\r"), err
}

func (s *Source) read() ([]byte, error) {
	switch {
	case s.File != "":
		return readFile(s.File)
	case s.Environment != "":
		value, ok := os.LookupEnv(s.Environment)
		if !ok {
			return nil, fmt.Errorf("the agent's environment has no variable %s", s.Environment)
		}
		return []byte(value), nil
	}
	return readCredential(s.Credential)
}

// place names where the secret is, for a person.
func (s *Source) place() string {
	switch {
	case s.File != "":
		return "the file " + s.File
	case s.Environment != "":
		return "the variable " + s.Environment
	}
	return "the credential " + s.Credential
}

// readFile reads a file that nobody else can read. What is judged is what was opened: a link is followed first.
func readFile(path string) ([]byte, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if err := checkReaders(f, path); err != nil {
		return nil, err
	}
	return readBounded(f)
}

// readBounded reads one byte more than a secret may have, so that the caller sees that there are more.
func readBounded(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, maxBytes+1)) }
