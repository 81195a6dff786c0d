package rsyncdest_test

import (
	"slices"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/rsyncdest"
)

// TestFacts: the version of the program here, with a warning where it is old, and who the agent is; and a receiving rsync that
// syncs nothing, once that is known.
func TestFacts(t *testing.T) {
	t.Parallel()
	const noFsync = `case "$*" in *--fsync*) echo 'rsync: on remote machine: --fsync: unknown option' >&2; exit 1;; esac`
	user := dest.Fact{Subject: dest.SubjectPlace, Text: "the module m takes the agent for the user u"}
	for name, test := range map[string]struct {
		program string
		want    []dest.Fact
	}{
		"recent": {`[ "$1" != --version ] || echo 'rsync  version 3.5.0  protocol version 32'`, []dest.Fact{
			user, {Subject: dest.SubjectProgram, Text: "the rsync of this machine is 3.5.0"},
		}},
		"old": {`[ "$1" != --version ] || echo 'rsync  version 3.2.7  protocol version 31'`, []dest.Fact{
			user, {Subject: dest.SubjectProgram, Warning: true, Text: "the rsync of this machine is 3.2.7, which works and is older than 3.5.0: install 3.5.0 or later"},
		}},
		"untold, and without fsync": {noFsync, []dest.Fact{user, {Subject: dest.SubjectSync, Warning: true, Text: "the rsync at the place does not know or allow --fsync: " +
			"what it has stored may be lost when its power fails; install rsync 3.2.4 or later there, and allow the option"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			driver, err := rsyncdest.New(rsyncdest.Options{Address: "127.0.0.1:1", Module: "m", User: "u", Program: script(t, test.program), Spool: t.TempDir()}).Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer driver.Close()
			if err := driver.(dest.Keeper).WriteOwn(t.Context(), "head", []byte("text")); err != nil {
				t.Fatal(err)
			}
			if got := driver.(dest.Reporter).Facts(t.Context()); !slices.Equal(got, test.want) {
				t.Errorf("Facts = %+v, want %+v", got, test.want)
			}
		})
	}
}
