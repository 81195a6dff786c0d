package catalogrpc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/server/internal/catalogrpc"
)

func TestNight(t *testing.T) {
	t.Parallel()
	announceNight(t, 2_000)
}

// bigNight makes the interactions of two nights, most of yesterday, and knows what has to come of them.
type bigNight struct {
	*rig
	announced []*backupv1.Announcement
	late      []string                 // paths of files that come after their night was sealed
	night     map[string]backup.Date   // by source path, of every file
	owner     map[string]string        // by source path, the interaction that its item has to have
	want      map[int]map[string]int64 // by day, from today: interactions by reason, those with a recording under ""
}

// announceNight registers some number of interactions as a platform does: in calls of which some are repeated, because their
// answers were lost, and before and after a restart of the server. It checks where all of them end.
func announceNight(t *testing.T, interactions int) {
	n := &bigNight{rig: newRig(t), night: map[string]backup.Date{}, owner: map[string]string{}, want: map[int]map[string]int64{-1: {}, -2: {}}}
	for i := range interactions {
		n.interaction(i)
	}
	began := time.Now()
	n.announce()
	t.Logf("%d announcements registered in %v", len(n.announced), time.Since(began))
	began = time.Now()
	n.cutOff(0)
	t.Logf("two nights sealed in %v", time.Since(began))
	for _, path := range n.late {
		n.Write(path, path, n.noon(-1))
	}
	n.cutOff(1)
	n.check()
	if again := n.cutOff(1); again != 0 {
		t.Errorf("nothing new came, and %d manifests were sealed", again)
	}
}

// interaction makes one: most have a recording that is there, in the second before midnight or the first after it too.
func (n *bigNight) interaction(i int) {
	id, path := fmt.Sprintf("call-%06d", i), fmt.Sprintf("%02d/call-%06d.gsm", i%24, i)
	midnight := n.noon(-1).Add(-12 * time.Hour)
	day, at := -1, midnight.Add(time.Duration(i%86400)*time.Second)
	count := func(reason string) { n.want[day][reason]++ }
	announce := func(a *backupv1.Announcement) { n.announced = append(n.announced, a) }
	file := func(interaction string) {
		n.Write(path, path, n.noon(-1))
		n.night["main/"+path], n.owner["main/"+path] = n.today.AddDays(day), interaction
	}
	if i%10 == 7 { // of the night before, though its file was written yesterday
		day, at = -2, midnight.Add(-time.Duration(1+i%3600)*time.Second)
	}
	switch i % 100 {
	case 0, 1, 2, 3:
		announce(none(id, abandoned, at))
		count("abandoned")
	case 4:
		announce(none(id, failed, at))
		announce(none(id, failed, at))
		count("failed")
	case 5: // it was thought to have none
		announce(none(id, failed, at))
		announce(recording(id, path, path, at))
		file(id)
		count("")
	case 6: // and the reverse
		announce(recording(id, path, path, at))
		announce(none(id, abandoned, at))
		count("abandoned")
	case 8, 17: // 17 is of the night before
		announce(recording(id, path, "another", at))
		file("")
		count("differs")
	case 9:
		announce(recording(id, path, path, at)) // never comes
		count("missing")
	case 10:
		announce(recording(id, path, path, at))
		n.night["main/"+path], n.owner["main/"+path] = n.today.AddDays(day), id
		n.late = append(n.late, path)
		count("")
	case 11:
		announce(recording(id, path, path, at))
		announce(recording(id, path, path, at))
		file(id)
		count("")
	case 12: // two recordings
		announce(recording(id, path+".2", path, at))
		announce(recording(id, path, path, at))
		file(id)
		count("")
	default:
		announce(recording(id, path, path, at))
		file(id)
		count("")
	}
}

func (n *bigNight) announce() {
	n.t.Helper()
	for i := 0; i < len(n.announced); i += catalogrpc.MaxAnnouncements {
		call := n.announced[i:min(i+catalogrpc.MaxAnnouncements, len(n.announced))]
		n.register(call...)
		switch i / catalogrpc.MaxAnnouncements {
		case 0:
			n.again(call)
		case 1:
			n.Restart()
			n.connect()
			n.again(call)
		}
	}
}

// again repeats a call that was answered. What replaced something within the call does so again.
func (n *bigNight) again(call []*backupv1.Announcement) {
	n.t.Helper()
	for i, v := range n.register(call...) {
		if v.GetVerdict() != unchanged && v.GetVerdict() != updated {
			n.t.Fatalf("announcing %v again is answered %v", call[i], v)
		}
	}
}

func (n *bigNight) check() {
	n.t.Helper()
	got := n.counts()
	for day, want := range n.want {
		night := got[n.today.AddDays(day)]
		recorded := want[""]
		delete(want, "")
		if diff := cmp.Diff(want, night.Unrecorded); diff != "" || night.Interactions != recorded+sum(want) {
			n.t.Errorf("the night %s has %d interactions, want %d; without a recording:\n%s", n.today.AddDays(day), night.Interactions, recorded+sum(want), diff)
		}
	}
	nights, items := n.items()
	if diff := cmp.Diff(n.night, nights); diff != "" {
		n.t.Errorf("the nights of the items (-want +got):\n%.2000s", diff)
	}
	for path, item := range items {
		if item.Interaction != n.owner[path] {
			n.t.Fatalf("%s is of the interaction %q, want %q", path, item.Interaction, n.owner[path])
		}
	}
}
