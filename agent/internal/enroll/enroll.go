// Package enroll makes this machine an agent: it makes the keys, redeems a join string for a certificate, and keeps
// who the agent is below the state directory, where the other parts load it from. Keys are on disk before the server
// is asked, so a call that was cut off is repeated with the same keys and has the same answer.
//
// It reaches the server through the caller's dial function, to which proxies belong. It does not renew certificates.
package enroll

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/join"
	"github.com/wolkvox/backup/internal/ledger"
)

// callTimeout bounds the one call to the server, connecting included.
const callTimeout = time.Minute

// Dial returns a client for the server at address, HOST:PORT, that uses the configuration for TLS.
type Dial func(ctx context.Context, address string, config *tls.Config) (*grpc.ClientConn, error)

// Options is what enrolling needs.
type Options struct {
	StateDir string    // of the agent; made where it does not exist
	Join     string    // the join string; white space around it does not matter
	HostName string    // what the machine calls itself
	Version  string    // the agent's
	Platform string    // such as "linux/amd64"
	At       time.Time // when certificates are judged, see [identity.JudgedTime]
	Dial     Dial
	// Replacing, where set, is told before the server is asked that a destination's identity is about to be replaced by one
	// for another log of the same destination.
	Replacing func(old, new ledger.Origin)
}

// Result is what enrolling led to. The client writes both fingerprints down: they are what a proof is checked with.
type Result struct {
	Agent             string
	Origin            ledger.Origin
	ServerFingerprint string    // of the server's key of the log
	AgentFingerprint  string    // of this agent's key for the log
	CertificateEnd    time.Time // of this agent's certificate
	// SetAside is where the identity is kept that this destination had in an earlier log; empty where it had none.
	SetAside string
}

// Enroll redeems a join string, for a machine that becomes an agent by it or for one more destination of an agent. It
// may be repeated with the same join string after any error or crash. A join string for a new log of a destination that the
// agent serves already replaces that destination's identity, and the old one is kept beside it. Errors are sentences for a person; they
// wrap [join.ErrMistyped], [ErrTokenInvalid], [ErrTokenExpired], [ErrIntercepted], [ErrUnreachable], [ErrOtherTenant],
// [ErrOtherServer] or [ErrAssigned] where one of these is the cause.
func Enroll(ctx context.Context, o Options) (Result, error) {
	j, err := join.Parse(strings.TrimSpace(o.Join))
	if err != nil {
		return Result{}, err
	}
	present, err := Load(o.StateDir)
	if err != nil && !errors.Is(err, ErrNotEnrolled) {
		return Result{}, err
	}
	if present != nil {
		if err := present.checkJoin(j); err != nil {
			return Result{}, err
		}
	}
	if old, replaces := present.other(j.Origin); replaces && o.Replacing != nil {
		o.Replacing(old, j.Origin)
	}
	dir := filepath.Join(o.StateDir, identityDir)
	k, err := prepareKeys(dir, j, present)
	if err != nil {
		return Result{}, fmt.Errorf("make keys for %s: %w", j.Origin, err)
	}
	request, err := k.request(o)
	if err != nil {
		return Result{}, fmt.Errorf("make the request for %s: %w", j.Origin, err)
	}
	request.Secret = j.Secret[:]
	response, err := call(ctx, o, j, present, request)
	if err != nil {
		return Result{}, err
	}
	cert, aside, err := k.keep(dir, j, present, response)
	if err != nil {
		return Result{}, fmt.Errorf("enroll for %s with %s: %w", j.Origin, j.Server, err)
	}
	return Result{
		Agent:             k.agent.Agent,
		Origin:            j.Origin,
		ServerFingerprint: ledger.Verifier(response.GetServerKey()).Fingerprint(),
		AgentFingerprint:  k.signing.Verifier().Fingerprint(),
		CertificateEnd:    cert.NotAfter,
		SetAside:          aside,
	}, nil
}

// checkJoin reports why a join string is not for the agent that is already enrolled.
func (i *Identity) checkJoin(j join.Join) error {
	if tenant := j.Origin.Tenant(); tenant != i.Tenant {
		return fmt.Errorf("%w: the join string is for tenant %s, and this agent belongs to %s: install another agent, with a state directory of its own",
			ErrOtherTenant, tenant, i.Tenant)
	}
	if identity.KeyHash(i.Credential.Authority) != j.Pin {
		return fmt.Errorf("%w: the join string is for %s, and this agent is enrolled with %s: install another agent, with a state directory of its own",
			ErrOtherServer, j.Server, i.Server)
	}
	return nil
}

// other returns the log that the agent serves under the name of origin's destination where that is another one.
func (i *Identity) other(origin ledger.Origin) (old ledger.Origin, replaces bool) {
	if i == nil {
		return "", false
	}
	d, ok := i.Destinations[origin.Destination()]
	return d.Origin, ok && d.Origin != origin
}

// keys is what an agent makes for itself.
type keys struct {
	agent       agentRecord
	tls         *ecdsa.PrivateKey
	destination destinationRecord
	signing     *ledger.SigningKey
}

// prepareKeys loads what an earlier attempt made and makes what is missing; all of it is durable when it returns.
func prepareKeys(dir string, j join.Join, present *Identity) (keys, error) {
	if err := durable.CreateDir(filepath.Join(dir, destinationsDir), 0o700); err != nil {
		return keys{}, err
	}
	var k keys
	var err error
	if k.tls, err = prepareTLSKey(filepath.Join(dir, identity.KeyFile)); err != nil {
		return keys{}, err
	}
	if present != nil {
		k.agent = agentRecord{present.Agent, present.Tenant, present.Server}
	} else if k.agent, err = prepareAgent(filepath.Join(dir, agentFile), j); err != nil {
		return keys{}, err
	}
	_, replaces := present.other(j.Origin)
	if k.destination, err = prepareDestination(destinationPath(dir, j.Origin.Destination()), j.Origin, replaces); err != nil {
		return keys{}, err
	}
	k.signing, err = k.destination.signingKey(k.agent.Agent)
	return k, err
}

func prepareTLSKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := identity.LoadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = identity.NewKey(); err != nil {
		return nil, err
	}
	return key, identity.SaveKey(path, key)
}

// prepareAgent gives an agent that is not enrolled its name, once. Tenant and server are those of the join string,
// whatever was tried before.
func prepareAgent(path string, j join.Join) (agentRecord, error) {
	record, err := readRecord[agentRecord](path)
	if errors.Is(err, fs.ErrNotExist) {
		var random [8]byte
		rand.Read(random[:]) // never fails, see crypto/rand
		record, err = agentRecord{Agent: hex.EncodeToString(random[:])}, nil
	}
	if err != nil {
		return agentRecord{}, err
	}
	record.Tenant, record.Server = j.Origin.Tenant(), j.Server
	return record, writeRecord(path, record)
}

// prepareDestination returns the record with the key for a log, from path or, while another log's record stands there, from
// beside it. A record that the server let nobody in with is replaced.
func prepareDestination(path string, origin ledger.Origin, replaces bool) (destinationRecord, error) {
	for _, p := range []string{path, path + nextSuffix} {
		record, err := readRecord[destinationRecord](p)
		if err == nil && record.Origin == origin {
			return record, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return destinationRecord{}, err
		}
	}
	if replaces {
		path += nextSuffix
	}
	record := destinationRecord{Origin: origin, Seed: make([]byte, ed25519.SeedSize)}
	rand.Read(record.Seed)
	return record, writeRecord(path, record)
}

func (k keys) request(o Options) (*backupv1.EnrollRequest, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: k.agent.Agent}}
	csr, err := x509.CreateCertificateRequest(rand.Reader, template, k.tls)
	if err != nil {
		return nil, err
	}
	assign, err := ledger.SignRequest(k.destination.Origin, k.signing)
	if err != nil {
		return nil, err
	}
	return &backupv1.EnrollRequest{
		CertificateRequest: csr,
		AssignRequest:      assign.Note,
		HostName:           o.HostName,
		AgentVersion:       o.Version,
		Platform:           o.Platform,
	}, nil
}

// call asks the server. What TLS found wrong with it is remembered, as gRPC passes on no more than its text.
func call(ctx context.Context, o Options, j join.Join, present *Identity, request *backupv1.EnrollRequest) (*backupv1.EnrollResponse, error) {
	host, _, err := net.SplitHostPort(j.Server)
	if err != nil {
		return nil, fmt.Errorf("read the server's address: %w", err)
	}
	var own []tls.Certificate
	if present != nil && o.At.Before(present.Credential.Certificate.Leaf.NotAfter) {
		own = append(own, present.Credential.Certificate)
	}
	config := identity.EnrollingConfig(host, j.Pin, func() time.Time { return o.At }, own...)
	seen := make(chan error, 1)
	verify := config.VerifyConnection
	config.VerifyConnection = func(state tls.ConnectionState) error {
		err := verify(state)
		if err != nil {
			select {
			case seen <- err:
			default:
			}
		}
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, fmt.Errorf("no answer within %v", callTimeout))
	defer cancel()
	conn, err := o.Dial(ctx, j.Server, config)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnreachable, j.Server, err)
	}
	defer conn.Close()
	response, err := backupv1.NewEnrollmentServiceClient(conn).Enroll(ctx, request)
	if err == nil {
		return response, nil
	}
	select {
	case untrusted := <-seen:
		return nil, explainTLS(untrusted, j)
	default:
		return nil, explain(err, context.Cause(ctx), j)
	}
}

// keep checks the answer and writes it down. With its certificate the agent is enrolled, and with the server's key,
// which comes last, it serves the destination; in between it is to be asked again. The record of an earlier log is kept as
// aside.
func (k keys) keep(dir string, j join.Join, present *Identity, response *backupv1.EnrollResponse) (_ *x509.Certificate, aside string, err error) {
	cert, authority, err := k.readCertificates(response.GetCertificates(), j.Pin)
	if err != nil {
		return nil, "", fmt.Errorf("the server's answer: %w", err)
	}
	record := k.destination
	record.ServerKey = ledger.Verifier(response.GetServerKey())
	if err := checkServerKey(record.ServerKey, record.Origin); err != nil {
		return nil, "", fmt.Errorf("the server's answer: %w", err)
	}
	if present != nil && present.Credential.Certificate.Leaf.NotAfter.After(cert.NotAfter) {
		cert = present.Credential.Certificate.Leaf // the answer repeats one from long ago
	}
	agent := k.agent
	agent.Server = j.Server
	if err := writeRecord(filepath.Join(dir, agentFile), agent); err != nil {
		return nil, "", err
	}
	if err := identity.SaveCertificate(filepath.Join(dir, identity.AuthorityFile), authority.Raw); err != nil {
		return nil, "", err
	}
	if err := identity.SaveCertificate(filepath.Join(dir, identity.CertificateFile), cert.Raw); err != nil {
		return nil, "", err
	}
	path := destinationPath(dir, record.Origin.Destination())
	if _, replaces := present.other(record.Origin); !replaces {
		return cert, "", writeRecord(path, record)
	}
	aside, err = replaceRecord(path, record, time.Now())
	return cert, aside, err
}

// readCertificates returns the agent's certificate and the pinned authority's from the server's answer.
func (k keys) readCertificates(ders [][]byte, pin [sha256.Size]byte) (cert, authority *x509.Certificate, err error) {
	var certs []*x509.Certificate
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, err
		}
		certs = append(certs, c)
	}
	if authority, err = identity.FindAuthority(certs, pin); err != nil {
		return nil, nil, err
	}
	if _, err := identity.NewCredential(certs[0], k.tls, authority); err != nil {
		return nil, nil, err
	}
	role, err := identity.RoleOf(certs[0])
	if err != nil {
		return nil, nil, err
	}
	if want := identity.AgentRole(k.agent.Tenant, k.agent.Agent); role != want {
		return nil, nil, fmt.Errorf("the certificate is of %s, not of %s", role, want)
	}
	return certs[0], authority, nil
}
