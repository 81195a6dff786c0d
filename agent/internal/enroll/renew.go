package enroll

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
)

// ErrRefused says that the server does not take this agent's certificate any more. It is wrapped in a sentence with the
// remedy.
var ErrRefused = errors.New("the server refuses this agent's certificate")

// RenewalDue reports whether the agent's certificate is to be renewed at a time at which certificates are judged.
func (i *Identity) RenewalDue(at time.Time) bool {
	return !at.Before(identity.RenewalTime(i.Credential.Certificate.Leaf))
}

// Renew asks the server for the next certificate, over a new key, and writes it down as the one in use; the one before is
// kept until [Accepted]. It calls over conn, which shows the present certificate. It may be repeated after any error or
// crash: the key is on disk before the server is asked, and asked with the same key the server gives the same answer. The
// answer is judged at the time at. Errors are sentences for a person; they wrap [ErrRefused] or [ErrUnreachable] where
// one of these is the cause.
//
// The server refuses the present certificate from the first call on that shows the next one, so the caller closes conn
// before it makes one.
func Renew(ctx context.Context, stateDir string, present *Identity, conn grpc.ClientConnInterface, at time.Time) (*Identity, error) {
	dir := filepath.Join(stateDir, identityDir)
	key, err := prepareNextKey(dir, present)
	if err != nil {
		return nil, fmt.Errorf("make the key of the next certificate: %w", err)
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: present.Agent}}
	request, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, fmt.Errorf("ask for the next certificate: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, fmt.Errorf("no answer within %v", callTimeout))
	defer cancel()
	response, err := backupv1.NewEnrollmentServiceClient(conn).RenewCertificate(ctx, &backupv1.RenewCertificateRequest{CertificateRequest: request})
	if err != nil {
		return nil, explainRenewal(err, present)
	}
	next, err := present.renewed(response.GetCertificates(), key, at)
	if err != nil {
		return nil, fmt.Errorf("renew the certificate with %s: the server's answer: %w", present.Server, err)
	}
	if err := present.Credential.Save(filepath.Join(dir, previousFile)); err != nil {
		return nil, err
	}
	if err := next.Credential.Save(filepath.Join(dir, credentialFile)); err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(dir, nextKeyFile)); err != nil {
		return nil, fmt.Errorf("remove the key of the next certificate, which is in use now: %w", err)
	}
	return next, nil
}

// prepareNextKey returns the key that an earlier attempt made, or makes one; it is durable when it returns. One that is in
// use already is of a renewal that was done.
func prepareNextKey(dir string, present *Identity) (*ecdsa.PrivateKey, error) {
	path := filepath.Join(dir, nextKeyFile)
	key, err := identity.LoadKey(path)
	if err == nil && !key.PublicKey.Equal(present.Credential.Certificate.Leaf.PublicKey) {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if key, err = identity.NewKey(); err != nil {
		return nil, err
	}
	return key, identity.SaveKey(path, key)
}

// renewed returns the identity with the certificate that the server sent.
func (i *Identity) renewed(ders [][]byte, key *ecdsa.PrivateKey, at time.Time) (*Identity, error) {
	sent, err := identity.ParseCertificates(ders)
	if err != nil {
		return nil, err
	}
	credential, err := i.Credential.Renewed(sent, key, at)
	if err != nil {
		return nil, err
	}
	if err := checkRole(credential, agentRecord{Agent: i.Agent, Tenant: i.Tenant}); err != nil {
		return nil, err
	}
	if identity.Ended(credential.Certificate.Leaf, at) {
		return nil, fmt.Errorf("the next certificate ended at %v", credential.Certificate.Leaf.NotAfter)
	}
	next := *i
	next.Credential = credential
	return &next, nil
}

// Accepted removes what is kept of the certificate before, once the server accepted a call with the one in use: the
// credential before, the key that enrolling made, and the files of an earlier version.
func Accepted(stateDir string) error {
	dir := filepath.Join(stateDir, identityDir)
	if _, err := os.Lstat(filepath.Join(dir, credentialFile)); err != nil {
		if errors.Is(err, fs.ErrNotExist) { // an earlier version's files are those in use
			return nil
		}
		return fmt.Errorf("look for the credential in use: %w", err)
	}
	var errs []error
	for _, name := range []string{previousFile, identity.KeyFile, identity.CertificateFile, identity.SelfIssuedFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(append(errs, durable.SyncDir(dir))...); err != nil {
		return fmt.Errorf("remove what is kept of the certificate before: %w", err)
	}
	return nil
}

// Previous puts the certificate before the present one in use again, where it is still kept; the error is [fs.ErrNotExist]
// where it is not. It is for a server that refuses the one in use before it ever accepted it.
func Previous(stateDir string, present *Identity) (*Identity, error) {
	dir := filepath.Join(stateDir, identityDir)
	credential, err := identity.LoadCredential(filepath.Join(dir, previousFile))
	if err != nil {
		return nil, err
	}
	if err := checkRole(credential, agentRecord{Agent: present.Agent, Tenant: present.Tenant}); err != nil {
		return nil, fmt.Errorf("go back to the certificate before: %w", err)
	}
	if err := credential.Save(filepath.Join(dir, credentialFile)); err != nil {
		return nil, err
	}
	previous := *present
	previous.Credential = credential
	return &previous, Accepted(stateDir)
}

// IsRefused reports whether the server refused a call for the certificate that it was made with.
func IsRefused(err error) bool {
	switch wire.Reason(err) {
	case wire.ReasonNoCertificate, wire.ReasonRevoked, wire.ReasonNotEnrolled:
		return true
	}
	return false
}

// explainRenewal says what it means that the server gave no certificate.
func explainRenewal(err error, present *Identity) error {
	message := status.Convert(err).Message()
	switch {
	case IsRefused(err):
		return fmt.Errorf("%w: %s: ask wolkvox for a join string for agent %s, and run wolkvox-agent enroll with it", ErrRefused, message, present.Agent)
	case wire.Reason(err) != "":
		return fmt.Errorf("the server at %s gives no new certificate at the moment: %s", present.Server, message)
	case status.Code(err) == codes.Unavailable:
		return fmt.Errorf("%w: %s: %s; a certificate that ended more than 30 days ago is not taken: if this agent did not run since %s, "+
			"ask wolkvox for a join string for agent %s", ErrUnreachable, present.Server, message,
			present.Credential.Certificate.Leaf.NotAfter.Add(identity.RenewalGrace).Format(time.DateOnly), present.Agent)
	}
	return fmt.Errorf("the server at %s gave no certificate: %w", present.Server, err)
}
