package wire

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
)

// The Go constants and the protocol's enums have the same numbers and names, and neither has more than the other.
func TestEnums(t *testing.T) {
	t.Parallel()
	tests := []struct {
		enum   protoreflect.EnumDescriptor
		prefix string
		name   func(n int32) (string, error) // of the Go constant
	}{
		{backupv1.ItemState(0).Descriptor(), "ITEM_STATE_", func(n int32) (string, error) {
			s, err := ParseState(backupv1.ItemState(n))
			if err == nil && State(s) != backupv1.ItemState(n) {
				err = fmt.Errorf("state %s becomes %d", s, State(s))
			}
			return s.String(), err
		}},
		{backupv1.MediaKind(0).Descriptor(), "MEDIA_KIND_", func(n int32) (string, error) {
			k, err := ParseMediaKind(backupv1.MediaKind(n))
			if err == nil && MediaKind(k) != backupv1.MediaKind(n) {
				err = fmt.Errorf("kind %s becomes %d", k, MediaKind(k))
			}
			return k.String(), err
		}},
		{backupv1.StorageKind(0).Descriptor(), "STORAGE_KIND_", func(n int32) (string, error) {
			k, err := ParseStorageKind(backupv1.StorageKind(n))
			if err == nil && StorageKind(k) != backupv1.StorageKind(n) {
				err = fmt.Errorf("storage %s becomes %d", k, StorageKind(k))
			}
			return k.String(), err
		}},
	}
	for _, test := range tests {
		values := test.enum.Values()
		for i := range values.Len() {
			number := int32(values.Get(i).Number())
			name, err := test.name(number)
			if number == 0 {
				if err == nil {
					t.Errorf("%s: UNSPECIFIED is taken for %s", test.enum.Name(), name)
				}
				continue
			}
			want := strings.ToLower(strings.TrimPrefix(string(values.Get(i).Name()), test.prefix))
			if err != nil || name != want {
				t.Errorf("%s %d: %q, %v, want %q", test.enum.Name(), number, name, err, want)
			}
		}
		for _, number := range []int32{-1, int32(values.Len()), 1000} {
			if name, err := test.name(number); err == nil {
				t.Errorf("%s: the unknown number %d is taken for %s", test.enum.Name(), number, name)
			}
		}
	}
}

func TestIndexes(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		var ranges []ledger.Range
		for range random.IntN(50) {
			first := random.Int64N(ledger.MaxItems)
			ranges = append(ranges, ledger.Range{First: first, Last: min(first+random.Int64N(100), ledger.MaxItems-1)})
		}
		want := ledger.NewSet(ranges...)
		got, err := ParseIndexes(Indexes(want))
		if err != nil || !got.Equal(want) {
			t.Fatalf("%s became %s, %v", want, got, err)
		}
	}
	refused := map[string][]*backupv1.IndexRange{
		"backwards":    {{First: 2, Last: 1}},
		"negative":     {{First: -1, Last: 1}},
		"out of order": {{First: 5, Last: 6}, {First: 1, Last: 2}},
		"overlapping":  {{First: 1, Last: 5}, {First: 5, Last: 9}},
		"touching":     {{First: 1, Last: 5}, {First: 6, Last: 9}},
		"too large":    {{First: 0, Last: ledger.MaxItems}},
		"missing":      {nil, nil},
		"too many":     make([]*backupv1.IndexRange, ledger.MaxRanges+1),
	}
	for name, indexes := range refused {
		if got, err := ParseIndexes(indexes); err == nil {
			t.Errorf("%s: taken as %s", name, got)
		}
	}
}

func TestPosition(t *testing.T) {
	t.Parallel()
	root := tlog.Hash{1, 2, 3}
	if size, got, err := ParsePosition(Position(7, root)); err != nil || size != 7 || got != root {
		t.Errorf("%d %v %v", size, got, err)
	}
	if size, got, err := ParsePosition(&backupv1.LogPosition{}); err != nil || size != 0 || got != ledger.EmptyRoot() {
		t.Errorf("the empty log: %d %v %v", size, got, err)
	}
	for name, p := range map[string]*backupv1.LogPosition{
		"missing":            nil,
		"negative":           {Size: -1, Root: root[:]},
		"short root":         {Size: 1, Root: root[:31]},
		"no root":            {Size: 1},
		"an empty log's":     {Size: 0, Root: root[:]},
		"more than a number": {Size: ledger.MaxDecimal + 1, Root: root[:]},
	} {
		if _, _, err := ParsePosition(p); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	want := ledger.Counts{0, 1, 2, 3, 4, 5, 6, 7}
	if got, err := ParseCounts(Counts(want)); err != nil || got != want {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParseCounts(&backupv1.StateCounts{WaivedCount: -1}); err == nil {
		t.Error("a negative count was taken")
	}
}

func TestItem(t *testing.T) {
	t.Parallel()
	want := backup.Item{
		Path: "main/a%3ab.gsm", SourcePath: "main/a:b.gsm\xff", Kind: backup.KindGSM, Interaction: "call-1",
		Digest:     backup.Digest{SHA256: [32]byte{9}, SizeBytes: 33},
		RecordedAt: time.Date(2026, 3, 1, 2, 3, 4, 0, time.UTC),
	}
	got, state, err := ParseItem(Item(3, 0, want, backup.Waived))
	if err != nil || state != backup.Waived {
		t.Fatal(state, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, state, err = ParseItem(Line(3, 1, ledger.Line{Forgotten: true}, backup.Forgotten)); err != nil || state != backup.Forgotten || got != (backup.Item{}) {
		t.Error(got, state, err)
	}
	for name, spoil := range map[string]func(*backupv1.Item){
		"no state":         func(m *backupv1.Item) { m.State = 0 },
		"no kind":          func(m *backupv1.Item) { m.Kind = 0 },
		"short digest":     func(m *backupv1.Item) { m.Sha256 = m.Sha256[1:] },
		"negative size":    func(m *backupv1.Item) { m.SizeBytes = -1 },
		"no manifest":      func(m *backupv1.Item) { m.Manifest = 0 },
		"negative index":   func(m *backupv1.Item) { m.Index = -1 },
		"no portable path": func(m *backupv1.Item) { m.Path = "../x" },
		"no time":          func(m *backupv1.Item) { m.RecordedTime = &timestamppb.Timestamp{Nanos: -1} },
	} {
		m := Item(3, 0, want, backup.Waived)
		spoil(m)
		if _, _, err := ParseItem(m); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("fetch: %w", RetryError(codes.ResourceExhausted, ReasonTryLater, 3*time.Second, "busy: %d", 7))
	if got := Reason(err); got != ReasonTryLater {
		t.Errorf("reason %q", got)
	}
	if after, ok := RetryAfter(err); !ok || after != 3*time.Second {
		t.Errorf("retry after %v, %v", after, ok)
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("code %v", status.Code(err))
	}
	plain := Error(codes.NotFound, ReasonNoManifest, "gone")
	if _, ok := RetryAfter(plain); ok || Reason(plain) != ReasonNoManifest {
		t.Error("an error without RetryInfo has one, or lost its reason")
	}
	for _, err := range []error{nil, errors.New("x"), status.Error(codes.Internal, "x")} {
		if got := Reason(err); got != "" {
			t.Errorf("%v has the reason %q", err, got)
		}
	}
}
