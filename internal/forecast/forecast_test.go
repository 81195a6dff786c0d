package forecast

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"
)

var first = time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC) // the end of the first night to come

func TestOf(t *testing.T) {
	t.Parallel()
	in := func(nights int, items, sizeBytes int64) Backlog { // nights that end before its deadline
		return Backlog{int64(nights), items, sizeBytes, first.Add(time.Duration(nights-1)*day + time.Hour)}
	}
	for _, test := range []struct {
		name     string
		rate     Rate
		backlogs []Backlog
		want     []Outlook
	}{
		{"nothing is known", Rate{}, []Backlog{in(1, 10, 1000)}, []Outlook{{in(1, 10, 1000), 0, 0}}},
		{"nights that bring nothing", Rate{3, 0, 0}, []Backlog{in(2, 10, 1000)}, []Outlook{{in(2, 10, 1000), 10, 1000}}},
		{"just enough", Rate{2, 10, 1000}, []Backlog{in(2, 10, 1000)}, []Outlook{{in(2, 10, 1000), 0, 0}}},
		{"a part of a recording is none", Rate{1, 1, 150}, []Backlog{in(1, 10, 1000)}, []Outlook{{in(1, 10, 1000), 9, 850}}},
		{"the deadline is before the night's end", Rate{1, 10, 1000}, []Backlog{in(0, 10, 1000)}, []Outlook{{in(0, 10, 1000), 10, 1000}}},
		{"the nearest deadline first", Rate{1, 10, 1000}, []Backlog{in(2, 10, 1500), in(1, 10, 1500)},
			[]Outlook{{in(1, 10, 1500), 4, 500}, {in(2, 10, 1500), 4, 500}}},
		{"what expired is not copied", Rate{1, 10, 100}, []Backlog{in(1, 10, 1000), in(3, 20, 200)},
			[]Outlook{{in(1, 10, 1000), 9, 900}, {in(3, 20, 200), 0, 0}}},
		{"empty files", Rate{1, 3, 0}, []Backlog{in(2, 10, 0)}, []Outlook{{in(2, 10, 0), 4, 0}}},
		{"great numbers", Rate{1, 1 << 40, 1 << 52}, []Backlog{in(4000, math.MaxInt64/4, math.MaxInt64/4)},
			[]Outlook{{in(4000, math.MaxInt64/4, math.MaxInt64/4), 0, 0}}},
	} {
		if diff := cmp.Diff(test.want, Of(test.rate, test.backlogs, first)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// A month of nights: what the forecast says on every day is what becomes of it, wherever nights go on as they did.
func TestSimulatedMonth(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ perNight, sealed, window int64 }{
		{100, 100, 10}, {100, 80, 10}, {100, 130, 3}, {100, 300, 5}, {1, 50, 10}, {0, 20, 4}, {97, 101, 1},
	} {
		t.Run(fmt.Sprintf("%d of %d in %d nights", test.perNight, test.sealed, test.window), func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			random := rand.New(rand.NewPCG(seed, 1))
			var open []Backlog
			expired, forecast := map[int64]int64{}, map[int64]int64{}
			for night := range int64(30) {
				end := first.Add(time.Duration(night) * day)
				// What is sealed before the night; sizes are one byte, so that recordings are what is counted.
				sealed := test.sealed + random.Int64N(test.sealed/2+1)
				open = append(open, Backlog{night, sealed, sealed, end.Add(time.Duration(test.window-1)*day + time.Hour)})
				forecast[night] = sealed
				for _, o := range Of(Rate{Nights, Nights * test.perNight, Nights * test.perNight}, open, end) {
					forecast[o.Manifest] = o.ExpiringItems
				}
				room := test.perNight
				for i := range open {
					brought := min(room, open[i].Items)
					open[i].Items, open[i].Bytes, room = open[i].Items-brought, open[i].Bytes-brought, room-brought
					if !open[i].Deadline.After(end.Add(day - 1)) { // no other night ends before it
						expired[open[i].Manifest], open[i].Items, open[i].Bytes = open[i].Items, 0, 0
						if got := forecast[open[i].Manifest]; got != expired[open[i].Manifest] {
							t.Errorf("seed %d: %d of manifest %d expired, and the forecast was %d", seed, expired[open[i].Manifest], open[i].Manifest, got)
						}
					}
				}
			}
			// All that is open is copied or expires: later nights have later deadlines and take nothing from it.
			end := first.Add(30 * day)
			want := map[int64]int64{}
			for _, o := range Of(Rate{1, test.perNight, test.perNight}, open, end) {
				want[o.Manifest] = o.ExpiringItems
			}
			for ; end.Before(first.Add(60 * day)); end = end.Add(day) {
				room := test.perNight
				for i := range open {
					if open[i].Deadline.Before(end) {
						continue
					}
					brought := min(room, open[i].Items)
					open[i].Items, room = open[i].Items-brought, room-brought
				}
			}
			for _, b := range open {
				if b.Items != want[b.Manifest] {
					t.Errorf("seed %d: %d of manifest %d are left, and the forecast was %d", seed, b.Items, b.Manifest, want[b.Manifest])
				}
			}
		})
	}
}

func TestFullAt(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rate Rate
		free int64
		want time.Time
	}{
		{Rate{}, 1000, time.Time{}},
		{Rate{7, 10, 0}, 1000, time.Time{}},
		{Rate{2, 10, 200}, 99, first},
		{Rate{2, 10, 200}, 1000, first.Add(10 * day)},
		{Rate{1, 1, 1}, 1 << 50, time.Time{}},
		{Rate{1, 1, 1000}, -5, first},
	} {
		if got, ok := FullAt(test.rate, test.free, first); !got.Equal(test.want) || ok == test.want.IsZero() {
			t.Errorf("FullAt(%v, %d) = %v, %v; want %v", test.rate, test.free, got, ok, test.want)
		}
	}
}

func TestNextEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ zone, at, want string }{
		{"America/Bogota", "2026-03-02T10:59:59Z", "2026-03-02T11:00:00Z"},
		{"America/Bogota", "2026-03-02T11:00:00Z", "2026-03-03T11:00:00Z"},
		{"America/Bogota", "2026-03-02T03:00:00Z", "2026-03-02T11:00:00Z"},
		{"Europe/Madrid", "2026-03-28T12:00:00Z", "2026-03-29T04:00:00Z"},
	} {
		zone, err := time.LoadLocation(test.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, test.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := NextEnd(at, 6*time.Hour, zone).Format(time.RFC3339); got != test.want {
			t.Errorf("%s at %s: %s, want %s", test.zone, test.at, got, test.want)
		}
	}
}
