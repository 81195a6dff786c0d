package adminrpc

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sequencer"
)

const sealedCount = 2500

// newService returns the service with the destination acme/nas: manifest 1 has sealedCount items, of which those from 10
// to 2480 are confirmed and 2490 and 2491 met a fault; manifest 2 is empty; manifest 3 has one item.
func newService(t *testing.T) *Service {
	t.Helper()
	r, err := registry.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	db, err := store.Open("", store.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	set, err := sequencer.OpenSet(t.Context(), db, sequencer.Options{Registry: r, Dir: t.TempDir()}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{Registry: r, Sequencers: set, Logger: slog.New(slog.DiscardHandler)}
	if err := r.CreateTenant(registry.Tenant{Name: "acme", TimeZone: "UTC"}); err != nil {
		t.Fatal(err)
	}
	created, err := s.CreateDestination(t.Context(), &backupv1.CreateDestinationRequest{Tenant: "acme", Name: "nas", Kind: backupv1.StorageKind_STORAGE_KIND_S3})
	if err != nil {
		t.Fatal(err)
	}
	seq, ok := set.Of(ledger.Origin(created.GetDestination().GetOrigin()))
	if !ok {
		t.Fatal("the new destination has no sequencer")
	}
	seal(t, seq, 1, sealedCount)
	seal(t, seq, 2, 0)
	seal(t, seq, 3, 1)
	deliver(t, seq, ledger.NewSet(ledger.Range{First: 10, Last: 2480}))
	err = seq.Ledger().PutFault(1, ledger.NewSet(ledger.Range{First: 2490, Last: 2491}), store.Fault{Class: "other", Party: "client", Message: "no space", Last: time.Now(), Attempts: 3})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func seal(t *testing.T, seq *sequencer.Sequencer, number int64, count int) {
	t.Helper()
	w, err := seq.Ledger().StageManifest(number)
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		line, err := ledger.FormatLine(backup.Item{Path: fmt.Sprintf("%d/%06d.gsm", number, i), Kind: backup.KindGSM, Digest: backup.Digest{SizeBytes: 1}})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(line); err != nil {
			t.Fatal(err)
		}
	}
	root, items, sizeBytes, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	night := backup.Date{Year: 2026, Month: time.March, Day: int(number)}
	m := sequencer.Manifest{Number: number, Root: root, Night: night, Items: items, Bytes: sizeBytes, Deadline: night.AddDays(10).EndIn(time.UTC)}
	if err := seq.Seal(t.Context(), m, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// deliver has an agent assigned, and its receipt for items of manifest 1 appended.
func deliver(t *testing.T, seq *sequencer.Sequencer, indexes ledger.Set) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ledger.NewSigningKey(seq.Origin().AgentKeyName("0123456789abcdef"), private)
	if err != nil {
		t.Fatal(err)
	}
	request, err := ledger.SignRequest(seq.Origin(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := seq.Assign(t.Context(), request, "", time.Now()); err != nil {
		t.Fatal(err)
	}
	session, err := seq.OpenSession([16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := seq.Manifest(1)
	receipt, err := ledger.Sign(ledger.Entry{Origin: seq.Origin(), Time: time.Now().UTC().Truncate(time.Second), Body: ledger.Delivered{
		Receipt: ledger.Receipt{Manifest: 1, Root: m.Root, Number: 1, Indexes: indexes},
		Method:  backup.ReadbackCached, Brought: ledger.BroughtAutomatic,
	}}, key)
	if err != nil {
		t.Fatal(err)
	}
	verdicts, err := seq.SubmitReceipts(t.Context(), session, [][]byte{receipt})
	if err != nil || !slices.Equal(verdicts, []sequencer.Verdict{sequencer.OK}) {
		t.Fatalf("SubmitReceipts = %v, %v", verdicts, err)
	}
}

// pages collects what a stream sends.
type pages struct {
	grpc.ServerStream
	ctx  context.Context
	sent []*backupv1.ListItemsResponse
}

func (p *pages) Context() context.Context { return p.ctx }

func (p *pages) Send(m *backupv1.ListItemsResponse) error {
	p.sent = append(p.sent, m)
	return nil
}

func TestListItems(t *testing.T) {
	t.Parallel()
	s := newService(t)
	all := make([]int64, sealedCount)
	for i := range all {
		all[i] = int64(i)
	}
	pending := slices.Concat(all[:10], all[2481:])
	for _, c := range []struct {
		name     string
		manifest int64
		states   []backupv1.ItemState
		want     []int64 // indexes
		sizes    []int   // of the messages
	}{
		{"all of a manifest", 1, nil, all, []int{1000, 1000, 500}},
		{"all", 0, nil, append(slices.Clone(all), 0), []int{1000, 1000, 501}},
		{"an empty manifest", 2, nil, nil, nil},
		{"pending", 1, []backupv1.ItemState{backupv1.ItemState_ITEM_STATE_PENDING}, pending, []int{29}},
		{"confirmed", 0, []backupv1.ItemState{backupv1.ItemState_ITEM_STATE_CONFIRMED}, all[10:2481], []int{1000, 1000, 471}},
		{"two states", 1, []backupv1.ItemState{backupv1.ItemState_ITEM_STATE_CONFIRMED, backupv1.ItemState_ITEM_STATE_PENDING}, all, []int{1000, 1000, 500}},
		{"a state without items", 0, []backupv1.ItemState{backupv1.ItemState_ITEM_STATE_WAIVED}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stream := &pages{ctx: t.Context()}
			err := s.ListItems(&backupv1.ListItemsRequest{Tenant: "acme", Destination: "nas", Manifest: c.manifest, States: c.states}, stream)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			var sizes []int
			for _, page := range stream.sent {
				sizes = append(sizes, len(page.GetItems()))
				for _, item := range page.GetItems() {
					got = append(got, item.GetIndex())
					checkItem(t, item)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("listed %d items, want %d", len(got), len(c.want))
			}
			if !slices.Equal(sizes, c.sizes) {
				t.Errorf("messages of %v items, want %v", sizes, c.sizes)
			}
		})
	}
}

// checkItem compares an item with what newService made of it.
func checkItem(t *testing.T, item *backupv1.Item) {
	t.Helper()
	state, hasFault := backupv1.ItemState_ITEM_STATE_PENDING, false
	if i := item.GetIndex(); item.GetManifest() == 1 {
		if i >= 10 && i <= 2480 {
			state = backupv1.ItemState_ITEM_STATE_CONFIRMED
		}
		hasFault = i == 2490 || i == 2491
	}
	path := fmt.Sprintf("%d/%06d.gsm", item.GetManifest(), item.GetIndex())
	if item.GetState() != state || (item.GetLastFault() != nil) != hasFault || item.GetPath() != path {
		t.Errorf("item %d of manifest %d: %v", item.GetIndex(), item.GetManifest(), item)
	}
}

// Items are listed by the class of their last fault.
func TestListItemsByCause(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for cause, want := range map[string]int{"made-up": 0, "": 2} {
		stream := &pages{ctx: t.Context()}
		request := &backupv1.ListItemsRequest{Tenant: "acme", Destination: "nas", Manifest: 1, Cause: cause}
		if cause == "" { // whatever newService gave to two of them
			all := &pages{ctx: t.Context()}
			if err := s.ListItems(request, all); err != nil {
				t.Fatal(err)
			}
			for _, page := range all.sent {
				for _, item := range page.GetItems() {
					if f := item.GetLastFault(); f != nil {
						request.Cause = f.GetClass()
					}
				}
			}
		}
		if err := s.ListItems(request, stream); err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, page := range stream.sent {
			for _, item := range page.GetItems() {
				if got++; item.GetLastFault().GetClass() != request.Cause {
					t.Errorf("of cause %q is listed %v", request.Cause, item)
				}
			}
		}
		if got != want {
			t.Errorf("%d items of cause %q, want %d", got, request.Cause, want)
		}
	}
}

func TestListItemsRefuses(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for reason, req := range map[string]*backupv1.ListItemsRequest{
		wire.ReasonNoManifest:    {Tenant: "acme", Destination: "nas", Manifest: 4},
		wire.ReasonNoDestination: {Tenant: "acme", Destination: "tape"},
		wire.ReasonBadRequest:    {Tenant: "acme", Destination: "nas", States: []backupv1.ItemState{0}},
	} {
		if err := s.ListItems(req, &pages{ctx: t.Context()}); wire.Reason(err) != reason {
			t.Errorf("ListItems(%v) = %v, want %s", req, err, reason)
		}
	}
	if err := s.ListItems(&backupv1.ListItemsRequest{Tenant: "acme", Destination: "nas", Manifest: -1}, &pages{ctx: t.Context()}); wire.Reason(err) != wire.ReasonNoManifest {
		t.Errorf("ListItems of manifest -1 = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.ListItems(&backupv1.ListItemsRequest{Tenant: "acme", Destination: "nas"}, &pages{ctx: ctx}); status.Code(err) != codes.Canceled {
		t.Errorf("ListItems for a caller who has gone = %v, want CANCELED", err)
	}
}

func TestNightsShowTheLastFault(t *testing.T) {
	t.Parallel()
	res, err := newService(t).ListNights(t.Context(), &backupv1.ListNightsRequest{Tenant: "acme", Destination: "nas"})
	if err != nil || len(res.GetNights()) != 3 {
		t.Fatalf("ListNights = %v, %v", res, err)
	}
	first := res.GetNights()[0]
	if first.GetLastFault().GetMessage() != "no space" || first.GetCounts().GetConfirmedCount() != 2471 || first.GetCounts().GetPendingCount() != 29 {
		t.Errorf("night 1 is %v", first)
	}
	if res.GetNights()[1].GetLastFault() != nil || res.GetNights()[1].GetItemCount() != 0 {
		t.Errorf("night 2 is %v", res.GetNights()[1])
	}
}
