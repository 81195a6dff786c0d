package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup/internal/ledger"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	l := memoryLedger(t)
	a := newAuthor(t, testOrigin)
	must(t, l.Append(a.genesis(), a.assign()))
	stage(t, l, 1, a.makeLines(1, 1000))
	must(t, l.Append(a.add(a.sealed(1, a.lines[1]))))
	full := Fault{Class: "disk-full", Party: "client", Code: "ENOSPC", Message: "no space left", Last: testTime}
	network := Fault{Class: "network", Party: "network", Code: "ECONNRESET", Last: testTime.Add(time.Hour)}
	same := func(n int64, want ...string) {
		t.Helper()
		faults, err := l.Faults(n)
		must(t, err)
		var got []string
		for _, f := range faults {
			got = append(got, fmt.Sprintf("%s %s %d", f.Items, f.Fault.Class, f.Fault.Attempts))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Faults (-want +got):\n%s", diff)
		}
	}
	must(t, l.PutFault(1, span(0, 99), full))
	must(t, l.PutFault(1, span(50, 149), network))
	same(1, "50-149 network 1", "0-49 disk-full 1")
	full.Last, full.Attempts = testTime.Add(2*time.Hour), 3
	must(t, l.PutFault(1, span(90, 109), full))
	same(1, "0-49,90-109 disk-full 4", "50-89,110-149 network 1")
	must(t, l.Append(a.add(a.delivered(1, span(0, 99)))))
	same(1, "100-109 disk-full 4", "110-149 network 1")
	must(t, l.Append(a.add(a.delivered(1, span(100, 120)))))
	same(1, "121-149 network 1")
	if f, ok, err := l.LastFault(1); err != nil || !ok || f.Class != "network" || !f.Last.Equal(network.Last) {
		t.Errorf("LastFault = %+v, %t, %v", f, ok, err)
	}

	must(t, l.PutFault(0, ledger.Set{}, full))
	must(t, l.PutFault(0, ledger.Set{}, full))
	same(0, " disk-full 6")
	if err := l.PutFault(2, span(0, 1), full); err == nil {
		t.Error("a fault of a manifest that is not sealed was kept")
	}
}

// However many different messages there are, what is kept of a manifest's faults is bounded.
func TestFaultsAreBounded(t *testing.T) {
	t.Parallel()
	l := memoryLedger(t)
	a := newAuthor(t, testOrigin)
	must(t, l.Append(a.genesis(), a.assign()))
	stage(t, l, 1, a.makeLines(1, 400))
	must(t, l.Append(a.add(a.sealed(1, a.lines[1]))))
	for i := range int64(400) {
		must(t, l.PutFault(1, span(i, i), Fault{Class: "other", Message: fmt.Sprintf("file %d", i), Last: testTime.Add(time.Duration(i))}))
	}
	faults, err := l.Faults(1)
	must(t, err)
	var all ledger.Set
	for _, f := range faults {
		all = all.Union(f.Items)
	}
	if len(faults) > maxFaults || all.String() != "0-399" {
		t.Errorf("%d faults about %s", len(faults), all)
	}
}
