package door_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/server/internal/contentrpc"
	"github.com/wolkvox/backup/server/internal/door"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/servertest"
	"github.com/wolkvox/backup/server/internal/source"
	"github.com/wolkvox/backup/server/internal/storage"
)

// noon is in the night 2026-03-10 of the tenant.
var noon = time.Date(2026, 3, 10, 17, 0, 0, 0, time.UTC)

const (
	night = "2026-03-10"
	other = "rival"
)

// checker takes down what was asked for.
type checker struct {
	mu    sync.Mutex
	asked ledger.Set
}

func (c *checker) RequestCheck(_ ledger.Origin, _ int64, indexes ledger.Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = c.asked.Union(indexes)
}

func (c *checker) indexes() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked.String()
}

// site is a server with an open door.
type site struct {
	*servertest.Server
	t       *testing.T
	door    *door.Door
	host    door.HostKey
	address string
	checker *checker
	store   *storage.Store
	dir     string     // of store
	key     ssh.Signer // of somebody of the tenant

	agent    *ledger.SigningKey
	receipts int64
	last     tlog.Hash
}

func newSite(t *testing.T, limits door.Limits) *site {
	t.Helper()
	s := &site{Server: servertest.New(t, "America/Bogota", backup.StorageRSYNC, noon), t: t, checker: &checker{}}
	s.agent = s.Enroll()
	host, err := door.LoadHostKey(path.Join(t.TempDir(), door.HostKeyFile))
	s.Must(err)
	s.host = host
	s.key = s.addKey(servertest.Tenant, time.Hour)
	s.dir = t.TempDir()
	s.store, err = storage.Open(s.dir, storage.Options{Quota: func(string) (int64, error) { return 0, nil }})
	s.Must(err)
	s.door = door.New(door.Parts{
		HostKey: host, Registry: s.Registry, Sequencers: s.Sequencers, Log: s.Registry, Limits: limits, Storage: s.store,
		Contents: contentrpc.New(s.Sequencers, s.Registry, s.checker, contentrpc.Options{}),
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	s.Must(err)
	s.address = listener.Addr().String()
	ctx, cancel := withCancel(t)
	done := make(chan error, 1)
	go func() { done <- s.door.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return s
}

// newKey makes a key and registers it.
func (s *site) addKey(tenant string, life time.Duration) ssh.Signer {
	s.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	s.Must(err)
	signer, err := ssh.NewSignerFromKey(private)
	s.Must(err)
	at := time.Now()
	s.Must(s.Registry.AddDoorKey(registry.DoorKey{
		Tenant: tenant, Fingerprint: ssh.FingerprintSHA256(signer.PublicKey()), PublicKey: string(ssh.MarshalAuthorizedKey(signer.PublicKey())),
		Comment: "Ana, laptop", AddedBy: "test", AddedAt: at, End: at.Add(life),
	}))
	return signer
}

func (s *site) login(user string, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	return ssh.Dial("tcp", s.address, &ssh.ClientConfig{
		User: user, Auth: auth, HostKeyCallback: s.trust(), Timeout: 10 * time.Second,
	})
}

func (s *site) trust() ssh.HostKeyCallback {
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s.host.PublicKey()))
	s.Must(err)
	return ssh.FixedHostKey(public)
}

// ssh connects as somebody of the tenant.
func (s *site) ssh() *ssh.Client {
	s.t.Helper()
	client, err := s.login(servertest.Tenant, ssh.PublicKeys(s.key))
	s.Must(err)
	s.t.Cleanup(func() { client.Close() })
	return client
}

func (s *site) sftp(options ...sftp.ClientOption) *sftp.Client {
	s.t.Helper()
	client, err := sftp.NewClient(s.ssh(), options...)
	s.Must(err)
	s.t.Cleanup(func() { client.Close() })
	return client
}

// seal seals what lies in the source as a manifest of the night of noon.
func (s *site) seal() {
	s.t.Helper()
	s.Look(false, noon.Add(time.Hour))
}

// confirm has the agent deliver items of a manifest.
func (s *site) confirm(manifest int64, indexes ledger.Set) {
	s.t.Helper()
	m, _ := s.Sequencer().Manifest(manifest)
	leaf, err := ledger.Sign(ledger.Entry{Origin: s.Origin, Time: noon, Body: ledger.Delivered{
		Receipt: ledger.Receipt{Manifest: manifest, Root: m.Root, Number: s.receipts + 1, Previous: s.last, Indexes: indexes},
		Method:  backup.ReadbackCached, Brought: ledger.BroughtAutomatic,
	}}, s.agent)
	s.Must(err)
	s.receipts, s.last = s.receipts+1, sha256.Sum256(leaf)
	session, err := s.Sequencer().OpenSession([16]byte{1})
	s.Must(err)
	if _, err := s.Sequencer().SubmitReceipts(s.t.Context(), session, [][]byte{leaf}); err != nil {
		s.t.Fatal(err)
	}
}

// rival adds another tenant with a destination of the same name and one item.
func (s *site) rival() {
	s.t.Helper()
	s.Must(s.Registry.CreateTenant(registry.Tenant{Name: other, TimeZone: "America/Bogota", Quiet: servertest.Quiet}))
	directory := s.Directory + "-" + other
	writeFile(s.t, path.Join(directory, "secret", "theirs.gsm"), "not yours", noon)
	proof, err := source.Mark(directory)
	s.Must(err)
	s.Must(s.Registry.CreateSource(registry.Source{Tenant: other, Name: servertest.Source, Directory: directory, MarkerID: proof.MarkerID}))
	d, err := s.Registry.CreateDestination(other, servertest.Destination, backup.StorageRSYNC, noon)
	s.Must(err)
	_, err = s.Sequencers.Add(s.t.Context(), d, noon)
	s.Must(err)
	for _, at := range []time.Time{noon.Add(30 * time.Minute), noon.Add(time.Hour)} {
		_, err = s.Sealer.Look(s.t.Context(), other, "", false, at)
		s.Must(err)
	}
}

// tree returns all files that the client sees, with their contents.
func tree(t *testing.T, client *sftp.Client) map[string]string {
	t.Helper()
	files := map[string]string{}
	for walker := client.Walk("/"); walker.Step(); {
		if err := walker.Err(); err != nil {
			t.Fatal(err)
		}
		if !walker.Stat().IsDir() {
			files[walker.Path()] = read(t, client, walker.Path())
		}
	}
	return files
}

func names(t *testing.T, client *sftp.Client, folder string) string {
	t.Helper()
	entries, err := client.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// acts returns what the admin log says of an act, oldest first.
func (s *site) acts(act string) (found []registry.AdminRecord) {
	s.t.Helper()
	s.Must(s.Registry.AdminLog("", 0, func(r registry.AdminRecord) error {
		if r.Act.Act == act {
			found = append(found, r)
		}
		return nil
	}))
	return found
}

// field returns a field of a record's subject.
func field(t *testing.T, r registry.AdminRecord, name string) any {
	t.Helper()
	var subject map[string]any
	if err := json.Unmarshal([]byte(r.Subject), &subject); err != nil {
		t.Fatal(err)
	}
	return subject[name]
}
