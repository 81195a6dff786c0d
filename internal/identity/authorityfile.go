package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wolkvox/backup/internal/durable"
)

// ErrRootKeyAway says that the root's private key is not where the authority is.
var ErrRootKeyAway = errors.New("the key of the authority's root is not here: name the file that it was moved to with --root-key FILE")

// LoadAuthority reads the authority that [Authority.Save], or an earlier version, wrote to dir. It does not need the
// root's private key. The error is [fs.ErrNotExist] where there is none.
func LoadAuthority(dir string) (*Authority, error) {
	path := filepath.Join(dir, AuthorityFile)
	data, err := ReadPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return loadSelfIssued(dir)
	}
	if err != nil {
		return nil, err
	}
	a, err := parseAuthority(data)
	if err != nil {
		return nil, fmt.Errorf("load the authority from %s: %w", path, err)
	}
	return a, nil
}

func loadSelfIssued(dir string) (*Authority, error) {
	cert, err := LoadCertificate(filepath.Join(dir, SelfIssuedFile))
	if err != nil {
		return nil, err
	}
	key, err := LoadKey(filepath.Join(dir, selfIssuedKeyFile))
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("load the authority from %s: key and certificate do not belong together", dir)
	}
	return &Authority{roots: []*x509.Certificate{cert}, key: key}, nil
}

// parseAuthority reads the contents of [AuthorityFile]: the key and the certificate of the intermediate that issues, then the
// earlier intermediates, what certifies later roots by earlier ones, and the roots, the current one first.
func parseAuthority(data []byte) (*Authority, error) {
	key, certs, err := parseKeyAndCertificates(data)
	if err != nil {
		return nil, err
	}
	a := &Authority{key: key}
	a.roots = slices.DeleteFunc(slices.Clone(certs), func(c *x509.Certificate) bool { return !isRoot(c) })
	for _, cert := range certs {
		switch {
		case isRoot(cert):
		case slices.ContainsFunc(a.roots, func(root *x509.Certificate) bool { return KeyHash(root) == KeyHash(cert) }):
			a.cross = append(a.cross, cert)
		default:
			a.issuers = append(a.issuers, cert)
		}
	}
	if len(a.roots) == 0 || len(a.issuers) == 0 {
		return nil, fmt.Errorf("it holds %d roots and %d intermediates, and needs one of each", len(a.roots), len(a.issuers))
	}
	if !key.PublicKey.Equal(a.issuers[0].PublicKey) {
		return nil, errors.New("the key and the intermediate's certificate do not belong together")
	}
	if err := a.issuers[0].CheckSignatureFrom(a.roots[0]); err != nil {
		return nil, fmt.Errorf("the root has not signed the intermediate: %w", err)
	}
	return a, nil
}

// isRoot reports whether a certificate is signed by its own key.
func isRoot(cert *x509.Certificate) bool {
	return bytes.Equal(cert.RawSubject, cert.RawIssuer) && cert.CheckSignatureFrom(cert) == nil
}

// Save writes the authority to dir, durably: the root's key, where the root was just made, and then, in one step, all else
// as [AuthorityFile]. After that it removes the keys of earlier roots, which are good for nothing any more. An
// authority of the earlier form is on disk already and is not saved.
func (a *Authority) Save(dir string) error {
	if !a.HasIntermediate() {
		return errors.New("save the authority: it is of the earlier form, which is only read")
	}
	if a.rootKey != nil {
		if err := SaveKey(a.rootKeyPath(dir), a.rootKey); err != nil {
			return err
		}
	}
	var ders [][]byte
	for _, cert := range slices.Concat(a.issuers, a.cross, a.roots) {
		ders = append(ders, cert.Raw)
	}
	data, err := formatKeyAndCertificates(a.key, ders)
	if err != nil {
		return fmt.Errorf("save the authority: %w", err)
	}
	if err := WritePrivate(filepath.Join(dir, AuthorityFile), data); err != nil {
		return err
	}
	return a.removeEarlier(dir)
}

// removeEarlier removes the keys of other roots than the current one, and an authority of the earlier form.
func (a *Authority) removeEarlier(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look for keys of earlier roots: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		isRootKey := strings.HasPrefix(name, rootKeyPrefix) && strings.HasSuffix(name, rootKeySuffix) && name != filepath.Base(a.rootKeyPath(dir))
		if !isRootKey && name != selfIssuedKeyFile && name != SelfIssuedFile {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("remove what is of an earlier root: %w", err)
		}
	}
	if err := durable.SyncDir(dir); err != nil {
		return fmt.Errorf("remove what is of an earlier root: %w", err)
	}
	return nil
}

// rootKeyPath is where the root's private key is until it is moved away.
func (a *Authority) rootKeyPath(dir string) string {
	pin := a.Pin()
	return filepath.Join(dir, rootKeyPrefix+hex.EncodeToString(pin[:8])+rootKeySuffix)
}

// RootKeyPath returns where in dir the root's private key is, and whether it is there.
func (a *Authority) RootKeyPath(dir string) (path string, isThere bool) {
	path = a.rootKeyPath(dir)
	if !a.HasIntermediate() {
		path = filepath.Join(dir, selfIssuedKeyFile)
	}
	_, err := os.Lstat(path)
	return path, err == nil
}

// LoadRootKey reads the root's private key from the file that it was moved to, or from dir where that is empty. Errors are
// [ErrRootKeyAway] and [ErrRootKey].
func (a *Authority) LoadRootKey(dir, moved string) (*ecdsa.PrivateKey, error) {
	path := moved
	if path == "" {
		var isThere bool
		if path, isThere = a.RootKeyPath(dir); !isThere {
			return nil, ErrRootKeyAway
		}
	}
	key, err := LoadKey(path)
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(a.roots[0].PublicKey) {
		return nil, fmt.Errorf("read %s: %w", path, ErrRootKey)
	}
	return key, nil
}

// ExportRootKey moves the root's private key from dir to a new file that only its owner can read. It is removed from dir
// when the file is durable and was read back. Repeated after a crash it goes on where it stopped.
func (a *Authority) ExportRootKey(dir, to string) error {
	if !a.HasIntermediate() {
		return errors.New("this authority was made by an earlier version, and its root issues every certificate: run `wolkvox-server authority rotate` first")
	}
	key, err := a.LoadRootKey(dir, "")
	if err != nil {
		return err
	}
	_, err = os.Lstat(to)
	if errors.Is(err, fs.ErrNotExist) {
		err = SaveKey(to, key)
	}
	if err != nil {
		return err
	}
	if _, err := a.LoadRootKey(dir, to); err != nil {
		return fmt.Errorf("read the root's key back: %w; it is still in %s", err, dir)
	}
	path := a.rootKeyPath(dir)
	same, err := isSameFile(path, to)
	if err != nil {
		return fmt.Errorf("look where the root's key is: %w", err)
	}
	if same {
		return fmt.Errorf("%s is where the key is: name another place, on a medium that you can take away", to)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the root's key: %w", err)
	}
	return durable.SyncDir(dir)
}

func isSameFile(a, b string) (bool, error) {
	first, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	second, err := os.Stat(b)
	if err != nil {
		return false, err
	}
	return os.SameFile(first, second), nil
}
