package proof

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/wolkvox/backup"
)

func TestSearch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.seal(1, backup.Item{Path: "2026/a call.gsm", Interaction: "7.1"}, backup.Item{Path: "2026/b.gsm", Interaction: "7.10", SourcePath: "calls/á-b.wav"})
	r.seal(2)
	r.seal(3, backup.Item{Path: "-"}, backup.Item{Path: "2026/a call.mp3", Interaction: "7.1"})
	r.deliver(1, 0, 0)
	night := backup.Date{Year: 2026, Month: 3, Day: 1}
	for _, test := range []struct {
		query Query
		want  []string
	}{
		{Query{Name: "a call"}, []string{"1/0 confirmed", "3/1 pending"}},
		{Query{Name: "2026/a call.gsm"}, []string{"1/0 confirmed"}},
		{Query{Name: "á-b"}, []string{"1/1 pending"}},
		{Query{Name: "-"}, []string{"1/1 pending", "3/0 pending"}},
		{Query{Interaction: "7.1"}, []string{"1/0 confirmed", "3/1 pending"}},
		{Query{Interaction: "7.1", Name: "mp3"}, []string{"3/1 pending"}},
		{Query{Night: night, Name: ".gsm"}, []string{"1/0 confirmed", "1/1 pending"}},
		{Query{Night: night}, []string{"1/0 confirmed", "1/1 pending", "3/0 pending", "3/1 pending"}},
		{Query{Night: night.AddDays(1)}, nil},
		{Query{Name: "A CALL"}, nil},
	} {
		var got []string
		for found, err := range Search(t.Context(), r.log, r.log.RawLines, test.query) {
			check(t, err)
			got = append(got, fmt.Sprintf("%d/%d %s", found.Manifest, found.Index, found.State))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("Search(%+v) = %v, want %v", test.query, got, test.want)
		}
	}
	for range Search(t.Context(), r.log, r.log.RawLines, Query{Night: night}) {
		break // whoever has enough may stop
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range Search(ctx, r.log, r.log.RawLines, Query{Night: night}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: %v", err)
		}
	}
}
