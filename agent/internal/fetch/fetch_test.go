package fetch

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/uplink"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

func TestFetch(t *testing.T) {
	t.Parallel()
	sizes := []int{0, 1, 999, 1000, 1001, 50000, 0, 3, 70000, 0}
	for streams := 1; streams <= 8; streams++ {
		s, items := newSource(sizes...)
		f, d := s.open(t), newDisk(t)
		var mu sync.Mutex
		total := 0
		f.Streams, f.Bytes = streams, func(n int) { mu.Lock(); defer mu.Unlock(); total += n }
		check(t, f.Fetch(t.Context(), 1, items, d.stage, d.done))
		d.holds(s, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
		if want := 0 + 1 + 999 + 1000 + 1001 + 50000 + 3 + 70000; total != want {
			t.Errorf("%d bytes are counted, want %d", total, want)
		}
		check(t, f.Fetch(t.Context(), 1, nil, d.stage, d.done))
	}
}

// TestSplit cuts runs that are all of the items in their order, at most as many as there are streams, none empty and none
// much longer than its share.
func TestSplit(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		var items []Item
		var total, longest int64
		for i := range random.IntN(40) {
			size := random.Int64N(1 << random.IntN(30))
			items = append(items, Item{Index: int64(i), Digest: backup.Digest{SizeBytes: size}})
			total += size + perItemBytes
			longest = max(longest, size+perItemBytes)
		}
		n := 1 + random.IntN(8)
		parts := split(items, n)
		if len(parts) > n {
			t.Fatalf("%d runs for %d streams", len(parts), n)
		}
		if got := slices.Concat(parts...); !slices.Equal(got, items) {
			t.Fatalf("the runs hold %v, want %v", got, items)
		}
		for _, part := range parts {
			var size int64
			for _, item := range part {
				size += item.Digest.SizeBytes + perItemBytes
			}
			if len(part) == 0 || size > total/int64(n)+1+longest {
				t.Fatalf("a run of %d items with %d bytes of %d in %d runs", len(part), size, total, n)
			}
		}
	}
}

// TestResume goes on inside a file where a stream broke, and fetches no byte twice.
func TestResume(t *testing.T) {
	t.Parallel()
	s, items := newSource(500, 10*pieceBytes, 500)
	s.serve = func(call int, wanted []int64, offset int64, out sender) error {
		if call == 1 {
			check(t, out.file(0, 0))
			for at := int64(0); at < 4*pieceBytes; at += pieceBytes {
				check(t, out.piece(1, at, s.contents[1][at:at+pieceBytes], false))
			}
			return status.Error(codes.Unavailable, "the line broke")
		}
		if offset != 4*pieceBytes || !slices.Equal(wanted, []int64{1, 2}) {
			t.Errorf("after the break it asks for %v from %d, want 1 and 2 from %d", wanted, offset, 4*pieceBytes)
		}
		return out.files(wanted, offset)
	}
	f, d := s.open(t), newDisk(t)
	check(t, f.Fetch(t.Context(), 1, items, d.stage, d.done))
	d.holds(s, 0, 1, 2)
	if s.sent != 500+10*pieceBytes+500 {
		t.Errorf("%d bytes were sent, want each once", s.sent)
	}
}

// TestWrongContents gives up the item whose contents are wrong and goes on with the others.
func TestWrongContents(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(data []byte, out sender) error{
		"a bit differs": func(data []byte, out sender) error {
			data = bytes.Clone(data)
			data[7] ^= 1
			return out.piece(1, 0, data, true)
		},
		"too short": func(data []byte, out sender) error { return out.piece(1, 0, data[:len(data)-1], true) },
		"too long":  func(data []byte, out sender) error { return out.piece(1, 0, append(bytes.Clone(data), 0), true) },
		"goes on beyond its size": func(data []byte, out sender) error {
			for at := 0; at < 100*len(data); at += len(data) {
				if err := out.piece(1, int64(at), data, false); err != nil {
					return err
				}
			}
			return nil
		},
		"nothing of it": func(_ []byte, out sender) error { return out.piece(1, 0, nil, true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, items := newSource(100, 2000, 300)
			s.serve = func(_ int, wanted []int64, offset int64, out sender) error {
				for _, index := range wanted {
					var err error
					if index == 1 {
						err = send(s.contents[1], out)
					} else {
						err = out.file(index, offset)
					}
					if err != nil {
						return err
					}
				}
				return out.complete()
			}
			f, d := s.open(t), newDisk(t)
			check(t, f.Fetch(t.Context(), 1, items, d.stage, d.done))
			d.holds(s, 0, 2)
			if got := d.outcomes[1]; !errors.Is(got.Err, backup.ErrDigest) {
				t.Errorf("item 1 ended with %+v, want ErrDigest", got)
			}
		})
	}
}

// TestUnavailable passes on what the server says of items, also in the middle of one, and goes on with the others.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	s, items := newSource(100, 3000, 100, 100, 100)
	s.serve = func(_ int, _ []int64, _ int64, out sender) error {
		check(t, out.send(unavailable(&backupv1.ContentSegment{Index: 0}, backupv1.Unavailability_UNAVAILABILITY_NOT_PENDING)))
		check(t, out.piece(1, 0, s.contents[1][:1000], false))
		check(t, out.send(unavailable(&backupv1.ContentSegment{Index: 1, OffsetBytes: 1000}, backupv1.Unavailability_UNAVAILABILITY_SOURCE_CHANGED)))
		check(t, out.file(2, 0))
		check(t, out.send(unavailable(&backupv1.ContentSegment{Index: 3}, backupv1.Unavailability_UNAVAILABILITY_SOURCE_UNREADABLE)))
		check(t, out.file(4, 0))
		return out.complete()
	}
	f, d := s.open(t), newDisk(t)
	check(t, f.Fetch(t.Context(), 1, items, d.stage, d.done))
	for index, want := range map[int64]uplink.Unavailability{0: uplink.NotPending, 1: uplink.SourceChanged, 3: uplink.SourceUnreadable} {
		if got := d.outcomes[index]; got.Unavailable != want || got.Err != nil {
			t.Errorf("item %d ended with %+v, want %d", index, got, want)
		}
	}
	if s.calls != 1 || d.open != 0 || len(d.files) != 2 {
		t.Errorf("%d calls, %d files open, %d came; want 1, 0, 2", s.calls, d.open, len(d.files))
	}
}

// TestNonsense ends with ErrTransport, after a few attempts, where the server does not keep to the contract. What came
// before stays.
func TestNonsense(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(out sender) error{
		"out of order":   func(out sender) error { return out.file(2, 0) },
		"never asked":    func(out sender) error { return out.piece(99, 0, []byte("x"), true) },
		"again":          func(out sender) error { return out.file(0, 0) },
		"wrong offset":   func(out sender) error { return out.piece(1, 5, []byte("x"), false) },
		"negative":       func(out sender) error { return out.piece(1, -1, []byte("x"), false) },
		"empty pieces":   func(out sender) error { return out.piece(1, 0, nil, false) },
		"complete early": func(out sender) error { return out.complete() },
		"ends early":     func(sender) error { return nil },
		"says nothing":   func(out sender) error { return out.stream.Send(&backupv1.FetchContentsResponse{}) },
		"broken":         func(sender) error { return status.Error(codes.Internal, "broken") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, items := newSource(100, 200, 300)
			s.serve = func(call int, wanted []int64, _ int64, out sender) error {
				if call == 1 {
					check(t, out.file(0, 0))
				}
				return send(out)
			}
			f, d := s.open(t), newDisk(t)
			if err := f.Fetch(t.Context(), 1, items, d.stage, d.done); !errors.Is(err, ErrTransport) {
				t.Errorf("Fetch = %v, want ErrTransport", err)
			}
			d.holds(s, 0)
			if want := 1 + f.Patience; s.calls != want {
				t.Errorf("%d calls, want %d: one that brought something, and then those that brought nothing", s.calls, want)
			}
		})
	}
}

// TestHopeless asks once where asking again cannot help.
func TestHopeless(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]error{
		"not assigned":       wire.Error(codes.PermissionDenied, wire.ReasonNotAssigned, "x"),
		"superseded":         wire.Error(codes.Aborted, wire.ReasonSuperseded, "x"),
		"source unreachable": wire.RetryError(codes.Unavailable, wire.ReasonSourceUnreachable, time.Millisecond, "x"),
		"no manifest":        wire.Error(codes.NotFound, wire.ReasonNoManifest, "x"),
		"bad indexes":        wire.Error(codes.InvalidArgument, wire.ReasonBadIndexes, "x"),
		"unimplemented":      status.Error(codes.Unimplemented, "x"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, items := newSource(100)
			s.serve = func(int, []int64, int64, sender) error { return answer }
			f, d := s.open(t), newDisk(t)
			if err := f.Fetch(t.Context(), 1, items, d.stage, d.done); !errors.Is(err, ErrTransport) || s.calls != 1 {
				t.Errorf("Fetch = %v after %d calls, want ErrTransport after one", err, s.calls)
			}
		})
	}
}

// TestBusy waits for a server that serves others, longer than for one that is broken.
func TestBusy(t *testing.T) {
	t.Parallel()
	s, items := newSource(100)
	s.serve = func(call int, wanted []int64, offset int64, out sender) error {
		if call <= 5 {
			return wire.RetryError(codes.ResourceExhausted, wire.ReasonTryLater, time.Millisecond, "busy")
		}
		return out.files(wanted, offset)
	}
	f, d := s.open(t), newDisk(t)
	check(t, f.Fetch(t.Context(), 1, items, d.stage, d.done))
	d.holds(s, 0)
}

// TestSilentEnd does not wait for a server that has sent everything and does not say so.
func TestSilentEnd(t *testing.T) {
	t.Parallel()
	s, items := newSource(100, 0)
	s.serve = func(_ int, _ []int64, _ int64, out sender) error {
		check(t, out.file(0, 0))
		check(t, out.file(1, 0))
		<-out.stream.Context().Done()
		return nil
	}
	f, d := s.open(t), newDisk(t)
	check(t, f.Fetch(t.Context(), 1, items, d.stage, d.done))
	d.holds(s, 0, 1)
}

// TestOneStreamBreaks loses only what was on the stream that broke.
func TestOneStreamBreaks(t *testing.T) {
	t.Parallel()
	s, items := newSource(1000, 1000, 1000, 1000)
	s.serve = func(_ int, wanted []int64, offset int64, out sender) error {
		if slices.Contains(wanted, 0) {
			return status.Error(codes.Internal, "broken")
		}
		return out.files(wanted, offset)
	}
	f, d := s.open(t), newDisk(t)
	f.Streams = 4
	if err := f.Fetch(t.Context(), 1, items, d.stage, d.done); !errors.Is(err, ErrTransport) || strings.Contains(err.Error(), "rpc error") {
		t.Errorf("Fetch = %v, want ErrTransport", err)
	}
	d.holds(s, 1, 2, 3)
}

// TestDiskFails ends the fetch with the disk's own error, and leaves no file open.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("no space left on device")
	fail := func(item Item) error {
		if item.Index == 2 {
			return broken
		}
		return nil
	}
	for name, prepare := range map[string]func(*disk){
		"stage": func(d *disk) { d.refuse = fail },
		"write": func(d *disk) { d.full = fail },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, items := newSource(1000, 1000, 1000, 100000, 100000, 100000)
			f, d := s.open(t), newDisk(t)
			prepare(d)
			f.Streams = 3
			if err := f.Fetch(t.Context(), 1, items, d.stage, d.done); !errors.Is(err, broken) || errors.Is(err, ErrTransport) {
				t.Errorf("Fetch = %v, want %v", err, broken)
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.open != 0 {
				t.Errorf("%d files are left open", d.open)
			}
		})
	}
}

// TestCancelled leaves nothing open, whatever it was waiting for.
func TestCancelled(t *testing.T) {
	t.Parallel()
	hang := func(_ int, _ []int64, _ int64, out sender) error {
		_ = out.piece(0, 0, make([]byte, 10), false) // which fails where the caller is gone already
		<-out.stream.Context().Done()
		return nil
	}
	for name, prepare := range map[string]func(*source, *Fetcher){
		"in a stream":  func(s *source, _ *Fetcher) { s.serve = hang },
		"in the limit": func(_ *source, f *Fetcher) { f.Limiter = rate.NewLimiter(1, 10) },
		"in a pause": func(s *source, f *Fetcher) {
			f.Patience = 1000
			s.serve = func(int, []int64, int64, sender) error { return status.Error(codes.Unavailable, "away") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, items := newSource(5000, 5000)
			f, d := s.open(t), newDisk(t)
			f.Streams = 2
			prepare(s, f)
			why := errors.New("called off")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(100*time.Millisecond, func() { cancel(why) })
			if err := f.Fetch(ctx, 1, items, d.stage, d.done); !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
				t.Errorf("Fetch = %v, want %v", err, why)
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.open != 0 || len(d.files) != 0 {
				t.Errorf("%d files are left open, %d came", d.open, len(d.files))
			}
		})
	}
}

// TestLimit brings no more than the limit lets through, over all streams together.
func TestLimit(t *testing.T) {
	t.Parallel()
	s, items := newSource(10000, 10000)
	f, d := s.open(t), newDisk(t)
	const perSecond, burst = 50000, 1000
	f.Streams, f.Limiter = 2, rate.NewLimiter(perSecond, burst)
	began := time.Now()
	check(t, f.Fetch(t.Context(), 1, items, d.stage, d.done))
	d.holds(s, 0, 1)
	if took, least := time.Since(began), time.Second*(20000-burst)/perSecond; took < least {
		t.Errorf("20000 bytes came in %v, want %v at least", took, least)
	}
}

// TestEndless leaves a server that sends without end, and does not come back to one that has served enough.
func TestEndless(t *testing.T) {
	t.Parallel()
	s, items := newSource(100)
	ended := make(chan struct{}, 10)
	s.serve = func(_ int, _ []int64, _ int64, out sender) error {
		defer func() { ended <- struct{}{} }()
		for at := int64(0); ; at += 64 << 10 {
			if err := out.piece(0, at, make([]byte, 64<<10), false); err != nil {
				return err
			}
		}
	}
	f, d := s.open(t), newDisk(t)
	check(t, f.Fetch(t.Context(), 1, items, d.stage, d.done))
	if got := d.outcomes[0]; !errors.Is(got.Err, backup.ErrDigest) {
		t.Errorf("the item ended with %+v, want ErrDigest", got)
	}
	<-ended
	d.holds(s)

	s, items = newSource(100)
	s.serve = func(int, []int64, int64, sender) error {
		return wire.RetryError(codes.ResourceExhausted, wire.ReasonTooMuchFetched, time.Hour, "enough")
	}
	f, d = s.open(t), newDisk(t)
	if err := f.Fetch(t.Context(), 1, items, d.stage, d.done); !errors.Is(err, ErrTransport) || wire.Reason(err) != wire.ReasonTooMuchFetched || s.calls != 1 {
		t.Errorf("%d calls, %v", s.calls, err)
	}
}
