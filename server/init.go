package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/authority"
	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/credential"
)

// ErrInitialized says that a server was set up already.
var ErrInitialized = errors.New("the server is set up already")

// Init makes what a server needs before it can run: the state directory, the authority, the server's certificate and
// the first operator's credential, whose path it returns. One that was interrupted can be repeated. The error is
// [ErrInitialized] where nothing is left to do.
func Init(c config.Config, operator string, at time.Time) (credentialPath string, err error) {
	if err := checkFinished(c.StateDir); err != nil {
		return "", err
	}
	dir := filepath.Join(c.StateDir, identityDir)
	credentialPath = filepath.Join(c.StateDir, credentialFile)
	if _, err := os.Lstat(credentialPath); err == nil {
		return "", fmt.Errorf("%w in %s; `serve` runs it, and `credential create` makes more credentials", ErrInitialized, c.StateDir)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("look for an earlier init: %w", err)
	}
	if err := durable.CreateDir(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the state directory: %w", err)
	}
	made, err := makeAuthority(dir, at)
	if err != nil {
		return "", err
	}
	if _, err := made.ServerCertificate(dir, c.Names, at); err != nil {
		return "", err
	}
	_, err = createCredential(c, "init", operator, "", credentialPath, at)
	return credentialPath, err
}

// makeAuthority returns the authority in dir, and makes it where an earlier attempt has not: then nothing was issued
// yet, and there is no server's certificate either. Where there is one, the authority was lost.
func makeAuthority(dir string, at time.Time) (*identity.Authority, error) {
	for _, name := range []string{identity.AuthorityFile, identity.SelfIssuedFile, identity.CertificateFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return identity.LoadAuthority(dir)
		}
	}
	made, err := identity.NewAuthority(at)
	if err != nil {
		return nil, err
	}
	return made, made.Save(dir)
}

// NewCredential makes the credential of one more operator, of which no server knows yet; the name is a label.
func NewCredential(c config.Config, operator string, at time.Time) (credential.Credential, error) {
	ca, err := authority.Load(c)
	if err != nil {
		return credential.Credential{}, err
	}
	made, err := ca.NewOperator(operator, at)
	if err != nil {
		return credential.Credential{}, err
	}
	_, portText, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return credential.Credential{}, err
	}
	port, err := net.LookupPort("tcp", portText)
	if err != nil {
		return credential.Credential{}, err
	}
	return credential.Credential{Credential: made, Server: c.ServerAddress(port)}, nil
}
