package storagerpc_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/contentrpc"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/servertest"
	"github.com/wolkvox/backup/server/internal/storage"
	"github.com/wolkvox/backup/server/internal/storagerpc"
)

var noon = time.Date(2026, 3, 10, 17, 0, 0, 0, time.UTC)

// rig is a server with a tenant whose first destination is in wolkvox Storage.
type rig struct {
	*servertest.Server
	t       *testing.T
	dir     string // of the store
	store   *storage.Store
	client  backupv1.StorageServiceClient // the agent's
	as      func(identity.Role) backupv1.StorageServiceClient
	checked chan ledger.Set
}

// RequestCheck implements contentrpc.Checker.
func (r *rig) RequestCheck(_ ledger.Origin, _ int64, indexes ledger.Set) { r.checked <- indexes }

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{Server: servertest.New(t, "America/Bogota", backup.StorageWolkvox, noon), t: t, dir: t.TempDir(), checked: make(chan ledger.Set, 100)}
	r.Enroll()
	r.open()
	service := storagerpc.New(r.store, r.Sequencers, r.Registry, contentrpc.New(r.Sequencers, r.Registry, r, contentrpc.Options{}), slog.New(slog.DiscardHandler))
	address := r.Serve(func(g *grpc.Server) { backupv1.RegisterStorageServiceServer(g, service) })
	r.as = func(role identity.Role) backupv1.StorageServiceClient {
		return backupv1.NewStorageServiceClient(r.Dial(address, role))
	}
	r.client = r.as(identity.AgentRole(servertest.Tenant, servertest.Agent))
	return r
}

func (r *rig) open() {
	r.t.Helper()
	var err error
	r.store, err = storage.Open(r.dir, storage.Options{Quota: func(tenant string) (int64, error) {
		t, err := r.Registry.Tenant(tenant)
		return t.StorageQuotaBytes, err
	}})
	r.Must(err)
}

func (r *rig) quota(sizeBytes int64) {
	r.t.Helper()
	_, err := r.Registry.SetStorageQuota(servertest.Tenant, sizeBytes)
	r.Must(err)
}

// stored returns where a visible file lies on the disk.
func (r *rig) stored(name string) string {
	return filepath.Join(r.dir, servertest.Tenant, servertest.Destination, "files", filepath.FromSlash(name))
}

func sha(data []byte) *backupv1.StorageDigest {
	sum := sha256.Sum256(data)
	return &backupv1.StorageDigest{Sha256: sum[:], SizeBytes: int64(len(data))}
}

// put stores a file in messages of at most so many bytes.
func put(ctx context.Context, client backupv1.StorageServiceClient, first *backupv1.PutFileRequest, data []byte, pieceBytes int) error {
	stream, err := client.PutFile(ctx)
	if err != nil {
		return err
	}
	message := first
	for {
		n := min(len(data), pieceBytes)
		message.Data, data = data[:n], data[n:]
		if err := stream.Send(message); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(data) == 0 {
			break
		}
		message = &backupv1.PutFileRequest{}
	}
	_, err = stream.CloseAndRecv()
	return err
}

func header(name string, data []byte) *backupv1.PutFileRequest {
	return &backupv1.PutFileRequest{Tenant: servertest.Tenant, Destination: servertest.Destination, Name: name, Digest: sha(data)}
}

func wantReason(t *testing.T, what string, err error, reason string) {
	t.Helper()
	if wire.Reason(err) != reason {
		t.Errorf("%s: %v, want %s", what, err, reason)
	}
}

func TestPutFile(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	data, other := bytes.Repeat([]byte("abc"), 1<<20), []byte("other")
	r.Must(put(ctx, r.client, header("a/b.gsm", data), data, 1<<20))
	wantReason(t, "the name again", put(ctx, r.client, header("a/b.gsm", other), other, 1<<20), wire.ReasonFileExists)
	wantReason(t, "below a file", put(ctx, r.client, header("a/b.gsm/c.gsm", other), other, 1<<20), wire.ReasonNameObstructed)
	wantReason(t, "another digest", put(ctx, r.client, header("x.gsm", other), []byte("wrong"), 1<<20), wire.ReasonWrongDigest)
	wantReason(t, "too little", put(ctx, r.client, header("x.gsm", data), data[:100], 1<<20), wire.ReasonWrongDigest)
	wantReason(t, "too much", put(ctx, r.client, header("x.gsm", other), data, 1<<20), wire.ReasonWrongDigest)
	wantReason(t, "a large message", put(ctx, r.client, header("x.gsm", data), data, 1<<20+1), wire.ReasonTooLarge)
	for _, name := range []string{"", "..", "../x", "a/../../x", "/etc/passwd", "CON", "a:b", ".wolkvox", ".wolkvox/../x", ".WOLKVOX/x"} {
		wantReason(t, "the name "+name, put(ctx, r.client, header(name, other), other, 1<<20), wire.ReasonBadPath)
	}
	replacing := header("a/b.gsm", other)
	replacing.Replaces = sha(other)
	wantReason(t, "replacing another", put(ctx, r.client, replacing, other, 1<<20), wire.ReasonNotReplaced)
	replacing.Replaces = sha(data)
	r.Must(put(ctx, r.client, replacing, other, 1<<20))
	if got, err := os.ReadFile(r.stored("a/b.gsm")); err != nil || !bytes.Equal(got, other) {
		t.Errorf("stored are %d bytes, %v, want what replaced it", len(got), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(filepath.Dir(filepath.Dir(r.stored("a/b.gsm")))) + "/staging"); err != nil || len(entries) != 0 {
		t.Errorf("staging holds %v, %v, want nothing", entries, err)
	}
	usage, err := r.client.ReadUsage(ctx, &backupv1.ReadUsageRequest{Tenant: servertest.Tenant, Destination: servertest.Destination})
	if err != nil || usage.GetUsedBytes() != int64(len(other)) {
		t.Errorf("usage = %v, %v, want %d bytes", usage, err, len(other))
	}
}

// Whoever ends a call in its middle leaves nothing behind.
func TestPutFileGivenUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	data := bytes.Repeat([]byte("abc"), 1<<20)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := r.client.PutFile(ctx)
	r.Must(err)
	first := header("a.gsm", data)
	first.Data = data[:1<<20]
	r.Must(stream.Send(first))
	await := func(staged int, usedBytes int64) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			usage, err := r.store.Usage(servertest.Tenant)
			r.Must(err)
			entries, err := os.ReadDir(filepath.Join(r.dir, servertest.Tenant, servertest.Destination, "staging"))
			if err == nil && len(entries) == staged && usage.UsedBytes == usedBytes {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("staging holds %v, %v, and %d bytes count as used", entries, err, usage.UsedBytes)
			}
		}
	}
	await(1, int64(len(data)))
	cancel()
	await(0, 0)
	if _, err := os.Stat(r.stored("a.gsm")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
}

// read reads a part of a file.
func read(ctx context.Context, client backupv1.StorageServiceClient, req *backupv1.ReadFileRequest) (data []byte, first *backupv1.ReadFileResponse, err error) {
	stream, err := client.ReadFile(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	for {
		piece, err := stream.Recv()
		if err != nil {
			return nil, nil, err
		}
		if first == nil {
			first = piece
		}
		data = append(data, piece.GetData()...)
		if piece.GetComplete() {
			return data, first, nil
		}
	}
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	r.Must(put(ctx, r.client, header("a.gsm", data), data, 1<<20))
	r.Must(put(ctx, r.client, header("empty.gsm", nil), nil, 1<<20))
	size := int64(len(data))
	ask := func(name string, offset, length int64) *backupv1.ReadFileRequest {
		return &backupv1.ReadFileRequest{Tenant: servertest.Tenant, Destination: servertest.Destination, Name: name, OffsetBytes: offset, LengthBytes: length, WantDigest: true}
	}
	client := r.as(identity.ClientRole(servertest.Tenant, "ana"))
	for _, part := range [][3]int64{{0, 0, size}, {0, 1, 1}, {5, 0, size}, {size - 1, 0, size}, {size, 0, size}, {7, 300_000, 300_007}, {size - 5, 100, size}} {
		got, first, err := read(ctx, client, ask("a.gsm", part[0], part[1]))
		if err != nil || !bytes.Equal(got, data[part[0]:part[2]]) || first.GetSealed() || !bytes.Equal(first.GetDigest().GetSha256(), sha(data).GetSha256()) {
			t.Errorf("from %d, %d bytes: %d bytes, digest %v, %v", part[0], part[1], len(got), first.GetDigest(), err)
		}
	}
	if got, first, err := read(ctx, client, ask("empty.gsm", 0, 0)); err != nil || len(got) != 0 || first.GetDigest().GetSizeBytes() != 0 {
		t.Errorf("an empty file: %d bytes, %v, %v", len(got), first, err)
	}
	for what, bad := range map[string]*backupv1.ReadFileRequest{
		wire.ReasonBadRequest:     ask("a.gsm", size+1, 0),
		wire.ReasonNoFile:         ask("b.gsm", 0, 0),
		wire.ReasonBadPath:        ask(".wolkvox/marker", 0, 0),
		wire.ReasonNameObstructed: ask("a.gsm/b", 0, 0),
	} {
		_, _, err := read(ctx, client, bad)
		wantReason(t, bad.GetName(), err, what)
	}
	_, _, err := read(ctx, client, ask("a.gsm", -1, 0))
	wantReason(t, "a negative offset", err, wire.ReasonBadRequest)
}

// seal makes recordings and seals them; it returns the manifest's number.
func (r *rig) seal(files map[string]string) int64 {
	r.t.Helper()
	for name, contents := range files {
		r.Write(name, contents, noon.Add(-2*time.Hour))
	}
	r.Look(false, noon)
	manifests := int64(0)
	for {
		if _, ok := r.Sequencer().Manifest(manifests + 1); !ok {
			return manifests
		}
		manifests++
	}
}

// copyAll asks for items and returns how many got each verdict.
func (r *rig) copyAll(manifest, first, last int64) (map[backupv1.CopyVerdict]int64, error) {
	stream, err := r.client.CopyItems(r.t.Context(), &backupv1.CopyItemsRequest{
		Origin: string(r.Origin), Manifest: manifest, Indexes: []*backupv1.IndexRange{{First: first, Last: last}},
	})
	if err != nil {
		return nil, err
	}
	got := map[backupv1.CopyVerdict]int64{}
	for {
		answer, err := stream.Recv()
		if err != nil {
			return got, err
		}
		for _, outcome := range answer.GetOutcomes() {
			for _, indexes := range outcome.GetIndexes() {
				got[outcome.GetVerdict()] += indexes.GetLast() - indexes.GetFirst() + 1
			}
		}
		if answer.GetComplete() {
			return got, nil
		}
	}
}

func TestCopyItems(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	manifest := r.seal(map[string]string{"a.txt": "aaaa", "b.txt": "bbbb", "c.txt": "cccc", "d.txt": string(bytes.Repeat([]byte("d"), 1<<20))})
	// One is changed so that it looks the same, one is gone.
	r.Write("b.txt", "BBBB", noon.Add(-2*time.Hour))
	r.Must(os.Remove(filepath.Join(r.Directory, "c.txt")))
	got, err := r.copyAll(manifest, 0, 3)
	if err != nil || got[backupv1.CopyVerdict_COPY_VERDICT_STORED] != 2 || got[backupv1.CopyVerdict_COPY_VERDICT_SOURCE_CHANGED] != 2 {
		t.Errorf("copied %v, %v, want 2 stored and 2 changed", got, err)
	}
	if first, second := <-r.checked, <-r.checked; first.Union(second).Len() != 2 {
		t.Errorf("checks of %v and %v were asked for, want two items", first, second)
	}
	if stored, err := os.ReadFile(r.stored(servertest.Source + "/a.txt")); err != nil || string(stored) != "aaaa" {
		t.Errorf("stored is %q, %v", stored, err)
	}
	if _, err := os.Stat(r.stored(servertest.Source + "/b.txt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what differs is visible: %v", err)
	}
	if got, err := r.copyAll(manifest, 0, 0); err != nil || got[backupv1.CopyVerdict_COPY_VERDICT_NAME_TAKEN] != 1 {
		t.Errorf("copied again %v, %v, want the name taken", got, err)
	}
	data, first, err := read(t.Context(), r.client, &backupv1.ReadFileRequest{
		Tenant: servertest.Tenant, Destination: servertest.Destination, Name: servertest.Source + "/a.txt", WantDigest: true})
	if err != nil || string(data) != "aaaa" || !first.GetSealed() || !bytes.Equal(first.GetDigest().GetSha256(), sha(data).GetSha256()) {
		t.Errorf("read back %q, %v, %v, want it with the sealed digest", data, first, err)
	}
	_, err = r.copyAll(manifest, 0, 4)
	wantReason(t, "beyond the manifest", err, wire.ReasonBadIndexes)
	_, err = r.copyAll(manifest+1, 0, 0)
	wantReason(t, "another manifest", err, wire.ReasonNoManifest)
}

// A quota ends what is stored where it is used up, and nothing half; once it is raised the rest follows. What is used is
// counted anew when the store is opened.
func TestQuota(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	manifest := r.seal(map[string]string{"a.txt": "aaaaaaaaaa", "b.txt": "bbbbbbbbbb", "c.txt": "cccccccccc"})
	r.quota(25)
	got, err := r.copyAll(manifest, 0, 2)
	if err != nil || got[backupv1.CopyVerdict_COPY_VERDICT_STORED] != 2 || got[backupv1.CopyVerdict_COPY_VERDICT_QUOTA] != 1 {
		t.Errorf("copied %v, %v, want 2 stored and 1 refused", got, err)
	}
	wantReason(t, "PutFile", put(t.Context(), r.client, header("x", []byte("123456")), []byte("123456"), 100), wire.ReasonStorageQuota)
	if _, err := r.client.WriteOwnFile(t.Context(), &backupv1.WriteOwnFileRequest{
		Tenant: servertest.Tenant, Destination: servertest.Destination, OwnName: "head", Data: []byte("a head that is longer than what is left"),
	}); err != nil {
		t.Errorf("an own file: %v", err)
	}
	before, err := r.store.Usage(servertest.Tenant)
	r.Must(err)
	r.open()
	if after, err := r.store.Usage(servertest.Tenant); err != nil || after.UsedBytes != before.UsedBytes || after.FreeBytes != 0 || after.QuotaBytes != 25 {
		t.Errorf("usage counted anew = %+v, %v, before %+v", after, err, before)
	}
	r.quota(1000)
	if got, err := r.copyAll(manifest, 0, 2); err != nil || got[backupv1.CopyVerdict_COPY_VERDICT_STORED] != 1 || got[backupv1.CopyVerdict_COPY_VERDICT_NAME_TAKEN] != 2 {
		t.Errorf("copied after the quota was raised %v, %v, want the third stored", got, err)
	}
}

// Nobody reaches another tenant's place, or another destination, by any method; and people only look.
func TestIsolation(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	const other = "other"
	r.Must(r.Registry.CreateTenant(registry.Tenant{Name: other, TimeZone: "UTC"}))
	for _, d := range []struct{ tenant, name string }{{other, servertest.Destination}, {servertest.Tenant, "second"}} {
		_, err := r.Registry.CreateDestination(d.tenant, d.name, backup.StorageWolkvox, noon)
		r.Must(err)
	}
	place, err := r.store.Place(other, servertest.Destination)
	r.Must(err)
	r.Must(place.Put(ctx, "a.gsm", backup.Digest{SHA256: sha256.Sum256([]byte("secret")), SizeBytes: 6}, nil, bytes.NewReader([]byte("secret"))))
	methods := map[string]func(c backupv1.StorageServiceClient, tenant, destination string) error{
		"PutFile": func(c backupv1.StorageServiceClient, tenant, destination string) error {
			first := header("b.gsm", []byte("b"))
			first.Tenant, first.Destination = tenant, destination
			return put(ctx, c, first, []byte("b"), 100)
		},
		"CopyItems": func(c backupv1.StorageServiceClient, tenant, destination string) error {
			d, err := r.Registry.Destination(tenant, destination)
			r.Must(err)
			stream, err := c.CopyItems(ctx, &backupv1.CopyItemsRequest{Origin: string(d.Origin), Manifest: 1, Indexes: []*backupv1.IndexRange{{}}})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
		"HashFiles": func(c backupv1.StorageServiceClient, tenant, destination string) error {
			stream, err := c.HashFiles(ctx, &backupv1.HashFilesRequest{Tenant: tenant, Destination: destination, Names: []string{"a.gsm"}})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
		"StatFiles": func(c backupv1.StorageServiceClient, tenant, destination string) error {
			_, err := c.StatFiles(ctx, &backupv1.StatFilesRequest{Tenant: tenant, Destination: destination, Names: []string{"a.gsm"}})
			return err
		},
		"ListFiles": func(c backupv1.StorageServiceClient, tenant, destination string) error {
			stream, err := c.ListFiles(ctx, &backupv1.ListFilesRequest{Tenant: tenant, Destination: destination})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
		"ReadFile": func(c backupv1.StorageServiceClient, tenant, destination string) error {
			_, _, err := read(ctx, c, &backupv1.ReadFileRequest{Tenant: tenant, Destination: destination, Name: "a.gsm"})
			return err
		},
		"MoveFileAside": func(c backupv1.StorageServiceClient, tenant, destination string) error {
			_, err := c.MoveFileAside(ctx, &backupv1.MoveFileAsideRequest{Tenant: tenant, Destination: destination, Name: "a.gsm", OwnName: "aside/a.gsm"})
			return err
		},
		"ReadOwnFile": func(c backupv1.StorageServiceClient, tenant, destination string) error {
			_, err := c.ReadOwnFile(ctx, &backupv1.ReadOwnFileRequest{Tenant: tenant, Destination: destination, OwnName: "marker"})
			return err
		},
		"WriteOwnFile": func(c backupv1.StorageServiceClient, tenant, destination string) error {
			_, err := c.WriteOwnFile(ctx, &backupv1.WriteOwnFileRequest{Tenant: tenant, Destination: destination, OwnName: "marker"})
			return err
		},
		"RemoveOwnFile": func(c backupv1.StorageServiceClient, tenant, destination string) error {
			_, err := c.RemoveOwnFile(ctx, &backupv1.RemoveOwnFileRequest{Tenant: tenant, Destination: destination, OwnName: "marker"})
			return err
		},
		"ReadUsage": func(c backupv1.StorageServiceClient, tenant, destination string) error {
			_, err := c.ReadUsage(ctx, &backupv1.ReadUsageRequest{Tenant: tenant, Destination: destination})
			return err
		},
	}
	if all := backupv1.StorageService_ServiceDesc; len(methods) != len(all.Methods)+len(all.Streams) {
		t.Errorf("%d methods are tried, the service has %d", len(methods), len(all.Methods)+len(all.Streams))
	}
	looks := map[string]bool{"StatFiles": true, "ListFiles": true, "ReadFile": true, "ReadUsage": true}
	client, auditor := r.as(identity.ClientRole(servertest.Tenant, "ana")), r.as(identity.AuditorRole(servertest.Tenant, "ben"))
	stranger := r.as(identity.AgentRole(servertest.Tenant, "bbbbbbbbbbbbbbbb"))
	for name, call := range methods {
		for who, c := range map[string]backupv1.StorageServiceClient{"the agent": r.client, "a client": client, "an auditor": auditor, "another agent": stranger} {
			for _, place := range [][2]string{{other, servertest.Destination}, {other, ""}, {"", servertest.Destination}, {"../" + other, servertest.Destination}} {
				if name == "CopyItems" && place[0]+place[1] != other+servertest.Destination {
					continue
				}
				if err := call(c, place[0], place[1]); status.Code(err) != codes.PermissionDenied {
					t.Errorf("%s calls %s of %q: %v", who, name, place, err)
				}
			}
		}
		for who, c := range map[string]backupv1.StorageServiceClient{"the agent": r.client, "another agent": stranger} {
			wantReason(t, who+" calls "+name+" of a destination that it does not serve", call(c, servertest.Tenant, "second"), wire.ReasonNotAssigned)
		}
		for who, c := range map[string]backupv1.StorageServiceClient{"a client": client, "an auditor": auditor} {
			if err := call(c, servertest.Tenant, servertest.Destination); (status.Code(err) == codes.PermissionDenied) == looks[name] {
				t.Errorf("%s calls %s of their own tenant: %v", who, name, err)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(r.dir, other, servertest.Destination, "files", "a.gsm")); err != nil {
		t.Error(err)
	}
}
