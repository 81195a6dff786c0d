package registry

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
)

// Source is a place where a tenant's recordings lie, and by what it is known to be there: a directory tree of the server's
// machine, or what SFTP or S3 says. Either MarkerID is set, or ProofFile and ProofDigest are.
type Source struct {
	Tenant      string        `json:"tenant"`
	Name        string        `json:"name"`           // a label, within the tenant
	Directory   string        `json:"directory"`      // absolute; empty where one of the next two is set
	SFTP        *SFTPSource   `json:"sftp,omitempty"` // nil in records of versions that knew directories only
	S3          *S3Source     `json:"s3,omitempty"`   // the same
	MarkerID    string        `json:"marker_id"`      // what the server's own marker there says
	ProofFile   string        `json:"proof_file"`     // the path there of a file that the place has of its own
	ProofDigest backup.Digest `json:"proof_digest"`   // of ProofFile
}

// SFTPSource is a folder on a server that speaks SFTP. Secrets are in files, of which only the names are kept.
type SFTPSource struct {
	Address        string `json:"address"` // host:port
	User           string `json:"user"`
	Folder         string `json:"folder"`                    // absolute, or below the folder of the login
	HostKey        string `json:"host_key"`                  // a public key or its fingerprint
	KeyFile        string `json:"key_file,omitempty"`        // absolute, as are the next two
	PassphraseFile string `json:"passphrase_file,omitempty"` // of the key
	PasswordFile   string `json:"password_file,omitempty"`
}

// S3Source is a bucket, or a part of one. The credentials are in a file, of which only the name is kept.
type S3Source struct {
	Bucket          string `json:"bucket"`
	Prefix          string `json:"prefix,omitempty"` // without slashes at its ends
	Region          string `json:"region"`
	Endpoint        string `json:"endpoint,omitempty"` // an http or https URL; empty for AWS
	PathStyle       bool   `json:"path_style,omitempty"`
	CredentialsFile string `json:"credentials_file,omitempty"` // absolute; empty for what the environment has
}

// Check reports why s cannot be kept. Errors wrap [ErrBadName] or [ErrBadPath].
func (s Source) Check() error {
	if err := s.CheckPlace(); err != nil {
		return err
	}
	if (s.MarkerID == "") == (s.ProofFile == "") {
		return fmt.Errorf("source %s: %w: it needs either a marker or a file that proves it", s.Name, ErrBadPath)
	}
	return nil
}

// CheckPlace is Check for a source that has no proof yet.
func (s Source) CheckPlace() error {
	if err := ledger.CheckLabel(s.Name); err != nil {
		return fmt.Errorf("source: %w: %w", ErrBadName, err)
	}
	if err := s.checkKind(); err != nil {
		return fmt.Errorf("source %s: %w: %w", s.Name, ErrBadPath, err)
	}
	if s.ProofFile != "" && (!filepath.IsLocal(s.ProofFile) || !utf8.ValidString(s.ProofFile)) {
		return fmt.Errorf("source %s: %w: the proof file %q is not a path below it", s.Name, ErrBadPath, s.ProofFile)
	}
	return nil
}

func (s Source) checkKind() error {
	kinds := 0
	for _, is := range []bool{s.Directory != "", s.SFTP != nil, s.S3 != nil} {
		if is {
			kinds++
		}
	}
	switch {
	case kinds > 1:
		return errors.New("it is one of a directory, SFTP and S3, and not several")
	case s.SFTP != nil:
		return s.SFTP.check()
	case s.S3 != nil:
		return s.S3.check()
	case !filepath.IsAbs(s.Directory) || filepath.Clean(s.Directory) != s.Directory || !utf8.ValidString(s.Directory):
		return fmt.Errorf("%q is not an absolute path in its shortest form", s.Directory)
	}
	return nil
}

func (s SFTPSource) check() error {
	host, port, err := net.SplitHostPort(s.Address)
	switch {
	case err != nil || host == "" || port == "":
		return fmt.Errorf("the address %q is not HOST:PORT", s.Address)
	case s.User == "":
		return errors.New("who logs in is missing")
	case s.HostKey == "":
		return errors.New("the host key is missing: ask the server's administrator for it, or for its fingerprint")
	case s.Folder == "" || path.Clean(s.Folder) != s.Folder || s.Folder == ".." || strings.HasPrefix(s.Folder, "../"):
		return fmt.Errorf("the folder %q is not a path in its shortest form", s.Folder)
	case (s.KeyFile == "") == (s.PasswordFile == ""):
		return errors.New("either a file with a private key or one with a password is wanted")
	case s.PassphraseFile != "" && s.KeyFile == "":
		return errors.New("a passphrase is of no use without a private key")
	}
	for _, text := range []string{s.Address, s.User, s.HostKey, s.Folder} {
		if !utf8.ValidString(text) {
			return fmt.Errorf("%q is not valid UTF-8", text)
		}
	}
	return secretFiles(s.KeyFile, s.PassphraseFile, s.PasswordFile)
}

func (s S3Source) check() error {
	switch endpoint, err := url.Parse(s.Endpoint); {
	case s.Bucket == "" || strings.Contains(s.Bucket, "/") || !utf8.ValidString(s.Bucket):
		return fmt.Errorf("the bucket's name %q is none", s.Bucket)
	case s.Region == "":
		return errors.New("the region is missing")
	case s.Prefix != "" && (path.Clean("/"+s.Prefix) != "/"+s.Prefix || !utf8.ValidString(s.Prefix)):
		return fmt.Errorf("the prefix %q is not a path in its shortest form, without slashes at its ends", s.Prefix)
	case err != nil || s.Endpoint != "" && (endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Host == "" || endpoint.User != nil):
		return fmt.Errorf("the endpoint %q is not of the form https://HOST", s.Endpoint)
	}
	return secretFiles(s.CredentialsFile)
}

// secretFiles refuses names that would depend on where the server was started.
func secretFiles(names ...string) error {
	for _, name := range names {
		if name != "" && (!filepath.IsAbs(name) || !utf8.ValidString(name)) {
			return fmt.Errorf("the path %q of a secret's file is not absolute", name)
		}
	}
	return nil
}
