// Package storage keeps the files of wolkvox Storage: one tree for each place of a tenant, in a directory of the server. A file
// becomes visible whole, durable, and after what is stored was read again and compared, or not at all; nothing is ever replaced
// unasked. It bounds what a tenant keeps by its quota and leaves the volume its reserve. It knows nothing of ledgers, and who may
// ask for what is judged before it is asked.
//
// # The directory
//
//	TENANT/DESTINATION/files/...     what is visible, and below .wolkvox what the agent keeps for itself
//	TENANT/DESTINATION/staging/...   what is being stored; emptied when the store is opened
package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/ledger"
)

// Errors that callers act on. fs.ErrExist says that a name is taken, fs.ErrNotExist that nothing is there, and
// backup.ErrDigest that what was given is not what was announced.
var (
	ErrQuota      = errors.New("the tenant's quota of wolkvox Storage is used up")
	ErrFull       = errors.New("the volume of wolkvox Storage has no room")
	ErrName       = errors.New("the name cannot be used in wolkvox Storage")
	ErrObstructed = errors.New("something that is no file is under the name, or on the way")
	ErrReplaced   = errors.New("what is under the name is not what was to be replaced")
	ErrReadBack   = errors.New("what was stored reads back differently")
)

const (
	filesDir   = "files"
	stagingDir = "staging"
)

// Options of [Open].
type Options struct {
	// Quota returns how many bytes a tenant may keep; 0 for no limit. It may be called concurrently.
	Quota func(tenant string) (int64, error)
	// ReserveBytes is what stays free on the volume.
	ReserveBytes int64
	Logger       *slog.Logger // nil: silent
}

// Store is all of wolkvox Storage on one server. One process uses a directory at a time. Its methods may be called
// concurrently.
type Store struct {
	dir     string
	options Options

	mu   sync.Mutex       // guards what follows
	used map[string]int64 // by tenant: what its files take, those that are being stored too
}

// Open opens the store in dir, which is made where it is missing. It removes what earlier processes were storing, and counts
// what is there.
func Open(dir string, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := durable.CreateDir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open wolkvox Storage: %w", err)
	}
	s := &Store{dir: dir, options: o, used: map[string]int64{}}
	began := time.Now()
	if err := s.eachPlace(func(tenant, destination string) error {
		place := filepath.Join(dir, tenant, destination)
		// An earlier process may have made them and not come to make them durable.
		if err := errors.Join(durable.SyncDir(place), durable.SyncDir(filepath.Dir(place)), durable.SyncDir(dir)); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(place, stagingDir)); err != nil {
			return err
		}
		n, err := sizeOf(filepath.Join(place, filesDir))
		s.used[tenant] += n
		return err
	}); err != nil {
		return nil, fmt.Errorf("open wolkvox Storage: %w", err)
	}
	o.Logger.Debug("wolkvox Storage counted", slog.Int("tenants", len(s.used)), slog.Duration("took", time.Since(began)))
	return s, nil
}

// eachPlace calls do for every place that was ever written to.
func (s *Store) eachPlace(do func(tenant, destination string) error) error {
	tenants, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		if ledger.CheckLabel(tenant.Name()) != nil || !tenant.IsDir() { // such as lost+found
			continue
		}
		places, err := os.ReadDir(filepath.Join(s.dir, tenant.Name()))
		if err != nil {
			return err
		}
		for _, place := range places {
			if ledger.CheckLabel(place.Name()) != nil || !place.IsDir() {
				continue
			}
			if err := do(tenant.Name(), place.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// sizeOf returns what the regular files below a folder hold; nothing where there is none.
func sizeOf(folder string) (sizeBytes int64, err error) {
	err = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			sizeBytes += info.Size()
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return sizeBytes, err
}

// Usage is how much a tenant keeps, and what more can be stored.
type Usage struct {
	UsedBytes  int64
	QuotaBytes int64 // 0 for no limit
	FreeBytes  int64 // what quota and volume leave
}

// Usage returns what a tenant keeps, over all its places.
func (s *Store) Usage(tenant string) (Usage, error) {
	quota, err := s.options.Quota(tenant)
	if err != nil {
		return Usage{}, err
	}
	free, err := durable.FreeBytes(s.dir)
	if err != nil {
		return Usage{}, fmt.Errorf("look for room in wolkvox Storage: %w", err)
	}
	s.mu.Lock()
	used := s.used[tenant]
	s.mu.Unlock()
	left := max(free-s.options.ReserveBytes, 0)
	if quota > 0 {
		left = min(left, max(quota-used, 0))
	}
	return Usage{UsedBytes: used, QuotaBytes: quota, FreeBytes: left}, nil
}

// take counts bytes as the tenant's before they are stored. The error is [ErrQuota] or [ErrFull]. slack is how far beyond its
// quota a tenant may go.
func (s *Store) take(tenant string, sizeBytes, slack int64) error {
	quota, err := s.options.Quota(tenant)
	if err != nil {
		return err
	}
	free, err := durable.FreeBytes(s.dir)
	if err != nil {
		return fmt.Errorf("look for room in wolkvox Storage: %w", err)
	}
	if free-sizeBytes < s.options.ReserveBytes {
		return fmt.Errorf("%w: it has %d MiB free, of which %d MiB stay in reserve", ErrFull, free>>20, s.options.ReserveBytes>>20)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if used := s.used[tenant]; quota > 0 && used+sizeBytes > quota+slack {
		return fmt.Errorf("%w: %d of %d bytes are used, and %d more are wanted", ErrQuota, used, quota, sizeBytes)
	}
	s.used[tenant] += sizeBytes
	return nil
}

// give takes bytes off what counts as the tenant's.
func (s *Store) give(tenant string, sizeBytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[tenant] -= sizeBytes
}

// Place is one destination's part of the store. Its methods may be called concurrently.
type Place struct {
	store       *Store
	tenant      string
	destination string
}

// Place returns a tenant's place; nothing is made on disk before something is stored. The error is [ErrName] where the names
// are no labels.
func (s *Store) Place(tenant, destination string) (*Place, error) {
	for _, name := range []string{tenant, destination} {
		if err := ledger.CheckLabel(name); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrName, err)
		}
	}
	return &Place{s, tenant, destination}, nil
}

// root opens the place's directory; fs.ErrNotExist where nothing was ever stored.
func (p *Place) root() (*os.Root, error) {
	return os.OpenRoot(filepath.Join(p.store.dir, p.tenant, p.destination))
}

// makeRoot is root for whoever is about to store.
func (p *Place) makeRoot() (*os.Root, error) {
	dir := filepath.Join(p.store.dir, p.tenant, p.destination)
	for _, below := range []string{filesDir, stagingDir} {
		if err := durable.CreateDir(filepath.Join(dir, below), 0o700); err != nil {
			return nil, err
		}
	}
	return os.OpenRoot(dir)
}

// below returns the path of a checked name within the place's directory.
func below(name string) string { return path.Join(filesDir, name) }
