// Package localact hands what commands did on the server's own machine to the server: the registry is used by one
// process at a time, and a command has to work whether or not the server runs. The command leaves a file in the state
// directory, and the server takes it into the admin log and the list of credentials: when it starts, and whenever it is
// asked for either. What the commands do is not its affair.
package localact

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/registry"
)

// Who is the doer of local acts in the admin log.
const Who = "local"

const (
	dirName  = "acts" // below the state directory
	suffix   = ".json"
	schema   = 1
	maxBytes = 64 << 10
)

// Act is what a command does.
type Act struct {
	Act        registry.Act         // its Who is [Who]
	Credential *registry.Credential // that it makes; nil where it makes none
}

type file struct {
	Schema     int                  `json:"schema"`
	Act        registry.Act         `json:"act"`
	Credential *registry.Credential `json:"credential"`
}

// Leave leaves an act for the server that uses the state directory, durably. A command leaves it before the last step of
// what it does, so that nothing is made of which the server does not hear; where that step fails, withdraw takes the act
// back, unless the server has it already.
func Leave(stateDir string, a Act) (withdraw func() error, err error) {
	a.Act.Who = Who
	text, err := format(a)
	if err != nil {
		return nil, fmt.Errorf("leave word of %s: %w", a.Act.Act, err)
	}
	dir := filepath.Join(stateDir, dirName)
	if err := durable.CreateDir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("leave word of %s: %w", a.Act.Act, err)
	}
	var random [8]byte
	rand.Read(random[:])
	path := filepath.Join(dir, a.Act.Time.UTC().Format("20060102T150405.000000000Z")+"-"+hex.EncodeToString(random[:])+suffix)
	if err := identity.WritePrivate(path, text); err != nil {
		return nil, fmt.Errorf("leave word of %s: %w", a.Act.Act, err)
	}
	return func() error {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("take back the word of %s: %w", a.Act.Act, err)
		}
		return nil
	}, nil
}

// Taker takes in what was left. Its fields are set before the first call and all required; its methods may be called
// concurrently.
type Taker struct {
	StateDir string
	Registry *registry.Registry
	Logger   *slog.Logger

	mu sync.Mutex
}

// TakeIn takes in all that was left, oldest first, each act once. What cannot be read is logged, and stays.
func (t *Taker) TakeIn(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	dir := filepath.Join(t.StateDir, dirName)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if errors.Is(err, fs.ErrPermission) { // a command was run as another user
		t.Logger.LogAttrs(ctx, slog.LevelError, "local acts not taken into the admin log", slog.Any("error", err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("take in local acts: %w", err)
	}
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), suffix)
		if !ok || durable.IsTemp(entry.Name()) {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		a, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // taken back
		}
		if err != nil {
			t.Logger.LogAttrs(ctx, slog.LevelError, "local act not taken into the admin log", slog.Any("error", err))
			continue
		}
		if err := t.take(name, path, a); err != nil {
			return err
		}
	}
	return nil
}

// take takes an act in; one that was, before the process ended, is not taken in again.
func (t *Taker) take(name, path string, a Act) error {
	if err := t.Registry.TakeIn(name, a.Act, a.Credential); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take in local acts: %w", err)
	}
	if err := durable.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("take in local acts: %w", err)
	}
	return t.Registry.ForgetTaken(name)
}

func read(path string) (Act, error) {
	f, err := os.Open(path)
	if err != nil {
		return Act{}, fmt.Errorf("read local act: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBytes))
	if err != nil {
		return Act{}, fmt.Errorf("read local act %s: %w", path, err)
	}
	a, err := parse(text)
	if err != nil {
		return Act{}, fmt.Errorf("read local act %s: %w", path, err)
	}
	return a, nil
}

// parse is the inverse of format. What it takes can be kept: what could not would keep the server from starting.
func parse(text []byte) (Act, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var read file
	if err := decoder.Decode(&read); err != nil {
		return Act{}, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Act{}, errors.New("something follows it")
	}
	if read.Schema != schema || read.Act.Who != Who || read.Act.Act == "" {
		return Act{}, fmt.Errorf("it is not of schema %d, or names no act of %s", schema, Who)
	}
	if c := read.Credential; c != nil && (c.Role.Check() != nil || c.Role.Kind == identity.KindAgent || c.Serial == "" || c.IssuedBy != Who) {
		return Act{}, fmt.Errorf("the credential in it is not one of a person that was made on this machine: %s %q", c.Role, c.Serial)
	}
	a := Act{read.Act, read.Credential}
	a.Act.Time = a.Act.Time.UTC()
	if _, err := format(a); err != nil { // a time that is none in UTC
		return Act{}, err
	}
	return a, nil
}

func format(a Act) ([]byte, error) { return json.Marshal(file{schema, a.Act, a.Credential}) }

// NewAct returns an act that is done now, with its subject, pairs of a name and a value, as JSON.
func NewAct(act, reason, tenant string, at time.Time, subject map[string]string) (registry.Act, error) {
	text, err := json.Marshal(subject)
	if err != nil {
		return registry.Act{}, fmt.Errorf("describe %s: %w", act, err)
	}
	return registry.Act{Time: at.UTC(), Who: Who, Act: act, Subject: string(text), Reason: reason, Outcome: registry.OutcomeOK, Tenant: tenant}, nil
}
