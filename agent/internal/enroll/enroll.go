// Package enroll makes this machine an agent: it makes the keys, redeems a join string for a certificate, and keeps
// who the agent is below the state directory, where the other parts load it from. Keys are on disk before the server
// is asked, so a call that was cut off is repeated with the same keys and has the same answer.
//
// It reaches the server through the caller's dial function or connection, to which proxies belong.
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
	response, err := call(ctx, o, j, request)
	if err != nil {
		return Result{}, err
	}
	cert, aside, err := k.keep(o, j, present, response)
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
	if _, err := identity.FindAuthority(i.Credential.Roots(), j.Pin); err != nil {
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
	if present != nil {
		key, ok := present.Credential.Certificate.PrivateKey.(*ecdsa.PrivateKey)
		if !ok {
			return keys{}, fmt.Errorf("the agent's key is a %T", present.Credential.Certificate.PrivateKey)
		}
		k.tls = key
		k.agent = agentRecord{present.Agent, present.Tenant, present.Server}
	} else {
		if k.tls, err = prepareTLSKey(filepath.Join(dir, identity.KeyFile)); err != nil {
			return keys{}, err
		}
		if k.agent, err = prepareAgent(filepath.Join(dir, agentFile), j); err != nil {
			return keys{}, err
		}
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
func call(ctx context.Context, o Options, j join.Join, request *backupv1.EnrollRequest) (*backupv1.EnrollResponse, error) {
	host, _, err := net.SplitHostPort(j.Server)
	if err != nil {
		return nil, fmt.Errorf("read the server's address: %w", err)
	}
	// No certificate is shown: one that ended, or that a later one replaced, would be refused, and the secret decides.
	config := identity.EnrollingConfig(host, j.Pin, func() time.Time { return o.At })
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
func (k keys) keep(o Options, j join.Join, present *Identity, response *backupv1.EnrollResponse) (_ *x509.Certificate, aside string, err error) {
	dir := filepath.Join(o.StateDir, identityDir)
	credential, err := k.readCertificates(response.GetCertificates(), j.Pin, o.At)
	if err != nil {
		return nil, "", fmt.Errorf("the server's answer: %w", err)
	}
	record := k.destination
	record.ServerKey = ledger.Verifier(response.GetServerKey())
	if err := checkServerKey(record.ServerKey, record.Origin); err != nil {
		return nil, "", fmt.Errorf("the server's answer: %w", err)
	}
	agent := k.agent
	agent.Server = j.Server
	if err := writeRecord(filepath.Join(dir, agentFile), agent); err != nil {
		return nil, "", err
	}
	if credential, err = keepCredential(dir, present, credential); err != nil {
		return nil, "", err
	}
	cert, path := credential.Certificate.Leaf, destinationPath(dir, record.Origin.Destination())
	if _, replaces := present.other(record.Origin); !replaces {
		return cert, "", writeRecord(path, record)
	}
	aside, err = replaceRecord(path, record, time.Now())
	return cert, aside, err
}

// keepCredential writes a credential down, unless what is there is as good: it ends no earlier (an answer may repeat one
// from long ago), or it has another key, with which the agent that runs meanwhile has renewed it.
func keepCredential(dir string, present *Identity, credential identity.Credential) (identity.Credential, error) {
	if present != nil {
		now, err := loadCredential(dir)
		if err != nil {
			return identity.Credential{}, err
		}
		leaf, next := now.Certificate.Leaf, credential.Certificate.Leaf
		if identity.KeyHash(leaf) != identity.KeyHash(next) || !next.NotAfter.After(leaf.NotAfter) {
			return now, nil
		}
	}
	return credential, credential.Save(filepath.Join(dir, credentialFile))
}

// readCertificates returns the agent's credential from the server's answer. It trusts the pinned root, and roots whose keys
// that one certified.
func (k keys) readCertificates(ders [][]byte, pin [sha256.Size]byte, at time.Time) (identity.Credential, error) {
	sent, err := identity.ParseCertificates(ders)
	if err != nil {
		return identity.Credential{}, err
	}
	pinned, err := identity.FindAuthority(sent, pin)
	if err != nil {
		return identity.Credential{}, err
	}
	credential, err := identity.Credential{Authority: pinned}.Renewed(sent, k.tls, at)
	if err != nil {
		return identity.Credential{}, err
	}
	return credential, checkRole(credential, k.agent)
}

// checkRole reports whether a credential is not an agent's.
func checkRole(credential identity.Credential, agent agentRecord) error {
	role, err := identity.RoleOf(credential.Certificate.Leaf)
	if err != nil {
		return err
	}
	if want := identity.AgentRole(agent.Tenant, agent.Agent); role != want {
		return fmt.Errorf("the certificate is of %s, not of %s", role, want)
	}
	return nil
}
