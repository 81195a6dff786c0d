//go:build linux && peers

package nas

import (
	"slices"
	"strings"
	"testing"

	"github.com/wolkvox/backup/test/fleet"
)

// peer is a place where recordings go, as those who look after it see it. Its methods are for one goroutine.
type peer interface {
	// where returns the lines of the agent's configuration that lead there, over address; "" for the peer's own.
	where(address string) string
	// address is where it listens; "" for what is mounted.
	address() string
	kill()
	restart(t testing.TB)
	// cut breaks all connections, and lets new ones be made. line is nil where the peer has no address.
	cut(t testing.TB, line *fleet.Line)
	// slow makes writing take long, or not.
	slow(line *fleet.Line, on bool)
	// lock changes what the peer wants to be shown, so that nothing works any more with what the agent has.
	lock(t testing.TB)
	// unlock gives the agent what the peer wants now; where the agent has none, the peer takes what it took before.
	unlock(t testing.TB)
	// readOnly has the peer refuse all changes, or take them again.
	readOnly(t testing.TB, on bool)
}

// remote is a peer that shows its recordings to clients of its own alone, and not as files of a folder.
type remote interface {
	peer
	// fetch has a program that knows nothing of this module fetch all into a folder; false where the peer is dead.
	fetch(t testing.TB, folder string) bool
	// watch begins to watch what happens to recordings.
	watch(wanted func(path string) (sum string, ok bool)) watcher
	// alter has somebody else alter the next recordings until stop is called, which returns how many they were.
	alter(t testing.TB, count int) (stop func() int)
	// fill leaves no room for anything more, or makes room.
	fill(t testing.TB, on bool)
}

// watcher is what sees whether anything that is visible was ever wrong.
type watcher interface {
	// Stop ends it, and returns how many recordings appeared and what was wrong.
	Stop(t testing.TB) (files int, problems []string)
}

// driver is one way to a peer.
type driver struct {
	name string
	// start starts a peer that serves dir.
	start func(t testing.TB, dir string) peer
	// method is what its receipts say of how stored files were compared.
	method string
	// lastly says that what was published is compared, and not what is staged.
	lastly bool
	cases  cases
}

// cases are what the agent must say of each thing that goes wrong: every driver has to say something of each.
type cases struct {
	killed, full, noInodes, locked, readOnly, slow, altered, cut said
}

// said is what the agent says of a fault.
type said struct {
	class, party, code string // several, where it depends on the instant; no code for any
}

func (s said) is(f fleet.Fault) bool {
	oneOf := func(some, text string) bool { return some == text || slices.Contains(strings.Fields(some), text) }
	return oneOf(s.class, f.Class) && oneOf(s.party, f.Party) && (s.code == "" || oneOf(s.code, f.Code)) && f.Message != ""
}

var (
	nothing = said{}
	// cannotHappen is of what there is none of at such a peer, or what it leaves no time for.
	cannotHappen = said{class: "none"}
)

func drivers() []driver {
	lost := said{"network", "network", ""}
	altered := said{"integrity", "client", "READ_BACK"}
	return append(objectStores(), []driver{
		{"mounted", startMounted, "readback-sha256 cached", false, cases{
			killed:   said{"dest-lost", "client", "ENOTCONN"},
			full:     said{"capacity", "client", "ENOSPC RESERVE"},
			noInodes: said{"capacity", "client", "ENOSPC RESERVE"},
			locked:   said{"permission", "client", "EACCES"},
			readOnly: said{"dest-config", "client", "EROFS"},
			slow:     nothing,
			altered:  altered,
			cut:      said{"dest-lost network", "client network", ""},
		}},
		{"smb", startSMB, "readback-sha256 cached", false, cases{
			killed:   lost,
			full:     said{"capacity", "client", "STATUS_DISK_FULL RESERVE"},
			noInodes: said{"capacity", "client", "STATUS_DISK_FULL RESERVE"},
			locked:   said{"credential", "client", "STATUS_LOGON_FAILURE"},
			readOnly: said{"permission", "client", "STATUS_ACCESS_DENIED"},
			slow:     nothing,
			altered:  altered,
			cut:      lost,
		}},
		{"sftp", startSFTP, "readback-sha256 cached", false, cases{
			killed:   lost,
			full:     said{"capacity", "client", "ENOSPC RESERVE"},
			noInodes: said{"capacity", "client", "ENOSPC RESERVE"},
			locked:   said{"credential", "client", ""},
			readOnly: said{"permission", "client", "SSH_FX_PERMISSION_DENIED"},
			slow:     nothing,
			altered:  altered,
			cut:      lost,
		}},
		{"sftp-plain", startPlainSFTP, "readback-sha256 cached", false, cases{
			killed:   lost,
			full:     said{"other", "client", "SSH_FX_FAILURE"},
			noInodes: said{"other", "client", "SSH_FX_FAILURE"},
			locked:   said{"credential", "client", ""},
			readOnly: said{"permission", "client", "SSH_FX_PERMISSION_DENIED"},
			slow:     nothing,
			altered:  altered,
			cut:      lost,
		}},
		{"rsync", startRsync, "peer-readback-sha1", true, cases{
			killed:   lost,
			full:     said{"capacity", "client", "ENOSPC RESERVE"},
			noInodes: said{"capacity", "client", "ENOSPC RESERVE"},
			locked:   said{"credential", "client", ""},
			readOnly: said{"dest-config", "client", "WRITE_REFUSED"},
			slow:     nothing,
			altered:  altered,
			cut:      lost,
		}},
		{"rsync-ssh", startRsyncSSH, "peer-readback-sha1", true, cases{
			killed:   lost,
			full:     said{"capacity", "client", "ENOSPC RESERVE"},
			noInodes: said{"capacity", "client", "ENOSPC RESERVE"},
			locked:   said{"credential", "client", ""},
			readOnly: said{"dest-config", "client", "EROFS"},
			slow:     nothing,
			altered:  altered,
			cut:      lost,
		}},
	}...)
}

// forEach runs a test for each driver, beside each other.
func forEach(t *testing.T, drivers []driver, test func(t *testing.T, d driver)) {
	for _, d := range drivers {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			test(t, d)
		})
	}
}
