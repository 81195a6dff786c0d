//go:build unix

package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// credentialsDirectory is the variable by which systemd names the directory of a service's credentials (systemd.exec(5)).
const credentialsDirectory = "CREDENTIALS_DIRECTORY"

func checkCredential(name string) error {
	if name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("credential is %q; give the name of a systemd credential, as before the colon of LoadCredential=", name)
	}
	return nil
}

// readCredential reads a credential that systemd put there for this service alone: "only accessible to the user associated
// with the unit" (systemd.exec(5)), by an access list where the file's permissions do not say so.
func readCredential(name string) ([]byte, error) {
	if err := checkCredential(name); err != nil {
		return nil, err
	}
	dir := os.Getenv(credentialsDirectory)
	if dir == "" {
		return nil, fmt.Errorf("the agent was started without credentials: run it as the service, and put `LoadCredential=%s:FILE` below [Service] of its unit", name)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("the directory of the service's credentials: %w", err)
	}
	defer root.Close()
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the service has no credential %q: put `LoadCredential=%s:FILE` below [Service] of its unit, and start it again: %w", name, name, err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f)
}
