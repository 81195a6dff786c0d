package enroll

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
)

// Below the state directory. The key that enrolling made has the name that package identity gives it.
const (
	identityDir     = "identity"
	agentFile       = "agent.json"
	credentialFile  = "agent.pem"          // the agent's key and certificate in use, and what it trusts
	previousFile    = "agent-previous.pem" // the credential before, until the one in use was accepted
	nextKeyFile     = "tls-next.key"       // the key of a certificate that was asked for
	destinationsDir = "destinations"       // one file LABEL.json for each
	recordSuffix    = ".json"
	nextSuffix      = ".next"       // after a record's name: of a new log, until the server has answered
	asideSuffix     = ".set-aside-" // after a record's name, before the time: of an earlier log
)

// ErrNotEnrolled says that the state directory holds no agent that a server let in.
var ErrNotEnrolled = errors.New("this agent is not enrolled: run wolkvox-agent enroll with the join string from wolkvox")

// Identity is who an agent is. It does not change while it is used; enrolling for another destination makes a new one.
type Identity struct {
	Agent        string // its name
	Tenant       string
	Server       string // HOST:PORT
	Credential   identity.Credential
	Destinations map[string]Destination // by name
}

// Destination is what an agent holds of a destination that it was let in to serve.
type Destination struct {
	Origin    ledger.Origin
	Key       *ledger.SigningKey // the agent's, for this log
	ServerKey ledger.Verifier    // the server's, when the agent enrolled
}

// Load reads the identity that [Enroll] wrote below a state directory. The error is [ErrNotEnrolled] where no
// server let this agent in yet.
func Load(stateDir string) (*Identity, error) {
	dir := filepath.Join(stateDir, identityDir)
	record, err := readRecord[agentRecord](filepath.Join(dir, agentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotEnrolled
	}
	if err != nil {
		return nil, err
	}
	credential, err := loadCredential(dir)
	if errors.Is(err, errNoCredential) {
		return nil, ErrNotEnrolled
	}
	if err != nil {
		return nil, err
	}
	if err := checkRole(credential, record); err != nil {
		return nil, fmt.Errorf("load identity from %s: %w", dir, err)
	}
	destinations, err := loadDestinations(filepath.Join(dir, destinationsDir), record)
	if err != nil {
		return nil, err
	}
	return &Identity{record.Agent, record.Tenant, record.Server, credential, destinations}, nil
}

var errNoCredential = errors.New("there is no credential")

// loadCredential reads the credential in use, also as an earlier version kept it. The error is errNoCredential where there
// is none.
func loadCredential(dir string) (identity.Credential, error) {
	credential, err := identity.LoadCredential(filepath.Join(dir, credentialFile))
	if !errors.Is(err, fs.ErrNotExist) {
		return credential, err
	}
	if _, err := os.Lstat(filepath.Join(dir, identity.CertificateFile)); errors.Is(err, fs.ErrNotExist) {
		return identity.Credential{}, errNoCredential
	}
	return identity.LoadCredentialParts(dir)
}

// TLSConfig returns the configuration for calls to the agent's server. now is called at each handshake and returns
// the time at which certificates are judged ([identity.JudgedTime]).
func (i *Identity) TLSConfig(now func() time.Time) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(i.Server)
	if err != nil {
		return nil, fmt.Errorf("read the server's address: %w", err)
	}
	return identity.ClientConfig(i.Credential, host, now), nil
}

// agentRecord is the contents of agentFile.
type agentRecord struct {
	Agent  string `json:"agent"`
	Tenant string `json:"tenant"`
	Server string `json:"server"`
}

// destinationRecord is the contents of a destination's file. It is written before the server is asked, then
// without ServerKey, and again with it.
type destinationRecord struct {
	Origin    ledger.Origin   `json:"origin"`
	Seed      []byte          `json:"signing_key_seed"` // RFC 8032 §5.1.5
	ServerKey ledger.Verifier `json:"server_key"`
}

func (r destinationRecord) signingKey(agent string) (*ledger.SigningKey, error) {
	if len(r.Seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("the signing key's seed has %d bytes instead of %d", len(r.Seed), ed25519.SeedSize)
	}
	return ledger.NewSigningKey(r.Origin.AgentKeyName(agent), ed25519.NewKeyFromSeed(r.Seed))
}

// replaceRecord puts a record in the place of that of another log, which is kept as aside, named by the time.
func replaceRecord(path string, record destinationRecord, at time.Time) (aside string, err error) {
	old, err := identity.ReadPrivate(path)
	if err != nil {
		return "", err
	}
	aside = path + asideSuffix + at.UTC().Format("20060102T150405Z")
	if err := identity.WritePrivate(aside, old); err != nil {
		return "", err
	}
	if err := writeRecord(path, record); err != nil {
		return "", err
	}
	return aside, os.Remove(path + nextSuffix)
}

func destinationPath(dir, name string) string {
	return filepath.Join(dir, destinationsDir, name+recordSuffix)
}

// loadDestinations reads the destinations that a server let the agent serve, and passes over those that wait for it.
func loadDestinations(dir string, agent agentRecord) (map[string]Destination, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list destinations: %w", err)
	}
	destinations := make(map[string]Destination)
	for _, entry := range entries {
		name, isRecord := strings.CutSuffix(entry.Name(), recordSuffix)
		if !isRecord || ledger.CheckLabel(name) != nil {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		record, err := readRecord[destinationRecord](path)
		if err != nil {
			return nil, err
		}
		if record.ServerKey == "" {
			continue
		}
		destination, err := record.destination(agent.Agent)
		if err == nil && (destination.Origin.Destination() != name || destination.Origin.Tenant() != agent.Tenant) {
			err = fmt.Errorf("it is about %s", destination.Origin)
		}
		if err != nil {
			return nil, fmt.Errorf("read destination %s: %w", path, err)
		}
		destinations[name] = destination
	}
	return destinations, nil
}

func (r destinationRecord) destination(agent string) (Destination, error) {
	if _, err := ledger.ParseOrigin(string(r.Origin)); err != nil {
		return Destination{}, err
	}
	if err := checkServerKey(r.ServerKey, r.Origin); err != nil {
		return Destination{}, err
	}
	key, err := r.signingKey(agent)
	if err != nil {
		return Destination{}, err
	}
	return Destination{r.Origin, key, r.ServerKey}, nil
}

func checkServerKey(v ledger.Verifier, origin ledger.Origin) error {
	if _, err := ledger.ParseVerifier(string(v)); err != nil {
		return fmt.Errorf("the server's key: %w", err)
	}
	if v.Name() != string(origin) {
		return fmt.Errorf("the server's key is named %s instead of %s", v.Name(), origin)
	}
	return nil
}

// recordSchema is the version of the records in this directory.
const recordSchema = 1

type stored[T any] struct {
	Schema int `json:"schema"`
	Record T   `json:"record"`
}

// readRecord reads a record. The error wraps [fs.ErrNotExist] where there is none.
func readRecord[T any](path string) (T, error) {
	var s stored[T]
	data, err := identity.ReadPrivate(path)
	if err != nil {
		return s.Record, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return s.Record, fmt.Errorf("read %s: %w", path, err)
	}
	if s.Schema != recordSchema {
		return s.Record, fmt.Errorf("read %s: its schema is %d, this program knows %d", path, s.Schema, recordSchema)
	}
	return s.Record, nil
}

func writeRecord[T any](path string, record T) error {
	data, err := json.MarshalIndent(stored[T]{recordSchema, record}, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return identity.WritePrivate(path, append(data, '\n'))
}
