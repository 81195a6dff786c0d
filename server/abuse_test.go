package server_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/join"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
)

// guest is an agent that a test plays.
type guest struct {
	f          *fixture
	credential identity.Credential
	key        *ledger.SigningKey
	origin     ledger.Origin
	from       string // the IP address that it calls from
}

// newGuest enrolls an agent for a destination.
func newGuest(t *testing.T, f *fixture, tenant, destination, from string) *guest {
	t.Helper()
	token, err := join.Parse(f.must(t, "token create "+tenant+" "+destination)["join"].(string))
	check(t, err)
	var random [8]byte
	rand.Read(random[:])
	name := hex.EncodeToString(random[:])
	_, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	signing, err := ledger.NewSigningKey(token.Origin.AgentKeyName(name), private)
	check(t, err)
	request, err := ledger.SignRequest(token.Origin, signing)
	check(t, err)
	key, err := identity.NewKey()
	check(t, err)
	conn := f.dial(t, identity.EnrollingConfig("127.0.0.1", token.Pin, time.Now))
	res, err := backupv1.NewEnrollmentServiceClient(conn).Enroll(t.Context(), &backupv1.EnrollRequest{
		Secret: token.Secret[:], CertificateRequest: certificateRequest(t, key, name), AssignRequest: request.Note,
		HostName: "nas-1", AgentVersion: "v1", Platform: "linux/amd64",
	})
	check(t, err)
	var certs []*x509.Certificate
	for _, der := range res.GetCertificates() {
		cert, err := x509.ParseCertificate(der)
		check(t, err)
		certs = append(certs, cert)
	}
	c, err := identity.NewCredential(certs[0], key, certs[1:]...)
	check(t, err)
	return &guest{f, c, signing, token.Origin, from}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dial connects from the guest's own address.
func (g *guest) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+g.f.address, grpc.WithContextDialer(g.raw),
		grpc.WithTransportCredentials(credentials.NewTLS(identity.ClientConfig(g.credential, "127.0.0.1", time.Now))))
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (g *guest) raw(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(g.from)}}
	return dialer.DialContext(ctx, "tcp", address)
}

// night copies a manifest as an agent does and confirms it; it returns how many recordings came whole.
func (g *guest) night(t *testing.T, manifest int64) (confirmed int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn := g.dial(t)
	defer conn.Close()
	log := backupv1.NewLedgerServiceClient(conn)
	watch, err := log.WatchLedger(ctx, &backupv1.WatchLedgerRequest{
		Origin: string(g.origin), ProcessId: bytes.Repeat([]byte{byte(manifest)}, 16), Position: &backupv1.LogPosition{}, KeptHeadKnown: true,
	})
	check(t, err)
	first, err := watch.Recv()
	check(t, err)
	session := first.GetOpened().GetSessionNumber()
	fold := ledger.NewFold()
	for int64(len(fold.Manifests)) < manifest {
		message, err := watch.Recv()
		check(t, err)
		for _, leaf := range message.GetBatch().GetEntries() {
			_, _, err := fold.Append(leaf)
			check(t, err)
		}
	}
	m := fold.Manifests[manifest-1]
	lines, err := log.ReadManifest(ctx, &backupv1.ReadManifestRequest{Origin: string(g.origin), SessionNumber: session, Manifest: manifest})
	check(t, err)
	digests := map[int64][sha256.Size]byte{}
	for last := false; !last; {
		res, err := lines.Recv()
		check(t, err)
		for line := range bytes.Lines(res.GetLines()) {
			item, err := ledger.ParseLine(bytes.TrimSuffix(line, []byte{'\n'}))
			check(t, err)
			digests[int64(len(digests))] = item.Digest.SHA256
		}
		last = res.GetLast()
	}
	all := ledger.NewSet(ledger.Range{First: 0, Last: m.Items - 1})
	contents, err := backupv1.NewContentServiceClient(conn).FetchContents(ctx, &backupv1.FetchContentsRequest{
		Origin: string(g.origin), SessionNumber: session, Manifest: manifest, Indexes: wire.Indexes(all),
	})
	check(t, err)
	sum := sha256.New()
	for complete := false; !complete; {
		res, err := contents.Recv()
		check(t, err)
		for _, segment := range res.GetSegments() {
			sum.Write(segment.GetData())
			if segment.GetLast() {
				if digest := digests[segment.GetIndex()]; bytes.Equal(sum.Sum(nil), digest[:]) {
					confirmed++
				}
				sum.Reset()
			}
		}
		complete = res.GetComplete()
	}
	chain := fold.Chains[g.key.Verifier()]
	receipt, err := ledger.Sign(ledger.Entry{Origin: g.origin, Time: time.Now().UTC().Truncate(time.Second), Body: ledger.Delivered{
		Receipt: ledger.Receipt{Manifest: manifest, Root: m.Root, Number: chain.Number + 1, Previous: chain.Last, Indexes: all},
		Method:  backup.ReadbackUncached, Brought: ledger.BroughtAutomatic,
	}}, g.key)
	check(t, err)
	res, err := log.SubmitReceipts(ctx, &backupv1.SubmitReceiptsRequest{Origin: string(g.origin), SessionNumber: session, Receipts: [][]byte{receipt}})
	check(t, err)
	if len(res.GetVerdicts()) != 1 || res.GetVerdicts()[0] != backupv1.Verdict_VERDICT_OK {
		t.Errorf("night %d: the receipt is answered by %v", manifest, res.GetVerdicts())
	}
	return confirmed
}

// reasons counts by which reasons calls were refused.
type reasons struct {
	mu     sync.Mutex
	counts map[string]int
}

func (r *reasons) count(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[wire.Reason(err)]++
}

// misbehave does all that an agent should not, at once, until ctx ends.
func (g *guest) misbehave(ctx context.Context, t *testing.T, victim ledger.Origin, seen *reasons) (wait func()) {
	t.Helper()
	conn := g.dial(t)
	log, content, beat := backupv1.NewLedgerServiceClient(conn), backupv1.NewContentServiceClient(conn), backupv1.NewHeartbeatServiceClient(conn)
	watch, err := log.WatchLedger(ctx, &backupv1.WatchLedgerRequest{Origin: string(g.origin), ProcessId: make([]byte, 16), Position: &backupv1.LogPosition{}})
	check(t, err)
	first, err := watch.Recv()
	check(t, err)
	session := first.GetOpened().GetSessionNumber()
	item := wire.Indexes(ledger.NewSet(ledger.Range{}))
	fetch := func(origin ledger.Origin) (grpc.ServerStreamingClient[backupv1.FetchContentsResponse], error) {
		return content.FetchContents(ctx, &backupv1.FetchContentsRequest{Origin: string(origin), SessionNumber: session, Manifest: 1, Indexes: item})
	}
	var group sync.WaitGroup
	again := func(act func()) {
		group.Go(func() {
			for ctx.Err() == nil {
				act()
				time.Sleep(time.Millisecond)
			}
		})
	}
	again(func() { // fetches the same without end
		stream, err := fetch(g.origin)
		for err == nil {
			var res *backupv1.FetchContentsResponse
			if res, err = stream.Recv(); res.GetComplete() {
				return
			}
		}
		seen.count(err)
	})
	for range 5 { // opens streams that are not read
		_, err := fetch(g.origin)
		check(t, err)
	}
	again(func() {
		stream, err := log.ReadManifest(ctx, &backupv1.ReadManifestRequest{Origin: string(g.origin), SessionNumber: session, Manifest: 1})
		if err == nil {
			_, err = stream.Recv()
		}
		seen.count(err)
	})
	again(func() { // of another tenant
		stream, err := fetch(victim)
		if err == nil {
			_, err = stream.Recv()
		}
		seen.count(err)
	})
	again(func() {
		_, err := log.SubmitReceipts(ctx, &backupv1.SubmitReceiptsRequest{Origin: string(g.origin), SessionNumber: session, Receipts: [][]byte{make([]byte, 1<<20+1)}})
		seen.count(err)
	})
	again(func() {
		report := make([]*backupv1.DestinationReport, 65)
		_, err := beat.Heartbeat(ctx, &backupv1.HeartbeatRequest{AgentVersion: strings.Repeat("v", 1<<20), Destinations: report})
		seen.count(err)
	})
	for range 8 {
		again(func() {
			_, err := beat.Heartbeat(ctx, &backupv1.HeartbeatRequest{})
			seen.count(err)
		})
	}
	again(func() {
		_, err := beat.Heartbeat(metadata.AppendToOutgoingContext(ctx, "x-long", strings.Repeat("x", 12<<10)), &backupv1.HeartbeatRequest{})
		seen.count(err)
	})
	again(func() { // connections that say nothing, and are not closed before the server does
		if silent, err := g.raw(ctx, g.f.address); err == nil {
			group.Go(func() {
				<-ctx.Done()
				silent.Close()
			})
		}
	})
	return group.Wait
}

// A night of one tenant is complete, recording by recording, while an agent of another does what it can against it.
func TestAnotherTenantsNight(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.configure(t, "limits:\n  connections: 100\n  connections_per_address: 40\n  times_per_night: 2\n")
	f.serve(t)
	const recordingsOfANight = 300
	f.must(t, "tenant add acme --time-zone America/Bogota --quiet 0s")
	f.must(t, "source add acme calls --directory "+recordings(t, map[string]string{"large.wav": strings.Repeat("x", 8<<20)}))
	f.must(t, "destination add acme nas --kind rsync")
	f.must(t, "tenant add globex --time-zone Europe/Madrid --quiet 0s")
	var hostile, victim *guest
	directory := recordings(t, map[string]string{"first.txt": "x"})
	f.must(t, "source add globex calls --directory "+directory)
	f.must(t, "destination add globex nas --kind rsync")
	hostile, victim = newGuest(t, f, "acme", "nas", "127.0.0.2"), newGuest(t, f, "globex", "nas", "127.0.0.1")
	f.must(t, "seal acme --wait")

	ctx, cancel := context.WithCancel(t.Context())
	seen := &reasons{counts: map[string]int{}}
	wait := hostile.misbehave(ctx, t, victim.origin, seen)
	for night := range int64(3) {
		files := map[string]string{}
		for i := range recordingsOfANight {
			files[fmt.Sprintf("%04d.txt", i)] = strings.Repeat(fmt.Sprintf("%d", i), 1000)
		}
		check(t, os.CopyFS(filepath.Join(directory, fmt.Sprint(night)), os.DirFS(recordings(t, files))))
		f.must(t, "seal globex --wait")
		want := int64(recordingsOfANight)
		if night == 0 {
			want++ // first.txt
		}
		if confirmed := victim.night(t, night+1); confirmed != want {
			t.Errorf("night %d: %d recordings came whole, want %d", night+1, confirmed, want)
		}
	}
	for _, reason := range []string{wire.ReasonTooManyCalls, wire.ReasonTooMuchFetched, wire.ReasonNotAssigned} {
		for seen.of(reason) == 0 && t.Context().Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
	cancel()
	wait()
}

func (r *reasons) of(reason string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[reason]
}
