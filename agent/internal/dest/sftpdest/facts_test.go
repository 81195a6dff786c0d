package sftpdest_test

import (
	"strings"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/sftpdest"
	"github.com/wolkvox/backup/internal/peertest/gosftp"
)

// factsOf returns what a handle tells of its place.
func factsOf(t *testing.T, s *sftpdest.SFTP) []dest.Fact {
	t.Helper()
	driver, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	return driver.(dest.Reporter).Facts(t.Context())
}

// TestFacts: each extension that a server lacks is warned of, in words, and a pinned fingerprint is told like a key.
func TestFacts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		extensions []string
		warnings   map[string]string // what is missing, by subject
	}{
		"all but fsync": {gosftp.AllExtensions(), map[string]string{dest.SubjectSync: "fsync@openssh.com"}},
		"none": {nil, map[string]string{
			dest.SubjectSync: "fsync@openssh.com", dest.SubjectRename: "hardlink@openssh.com", dest.SubjectQuota: "statvfs@openssh.com",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := gosftp.Start(t, gosftp.Options{Extensions: test.extensions})
			o := password(s)
			o.HostKey = s.Fingerprint
			warned := 0
			told := make(map[string]string)
			for _, fact := range factsOf(t, opener(t, o)) {
				told[fact.Subject] += fact.Text
				if !fact.Warning {
					continue
				}
				warned++
				if missing := test.warnings[fact.Subject]; missing == "" || !strings.Contains(fact.Text, missing) || !strings.Contains(fact.Text, "use ") {
					t.Errorf("warning %+v, want one of %q with a remedy", fact, missing)
				}
			}
			if warned != len(test.warnings) {
				t.Errorf("%d warnings, want %d", warned, len(test.warnings))
			}
			if key := told[dest.SubjectHostKey]; !strings.HasSuffix(key, " "+s.Fingerprint) {
				t.Errorf("host key: %q, want %s", key, s.Fingerprint)
			}
			if place := told[dest.SubjectPlace]; !strings.HasPrefix(place, `the server calls itself "SSH-2.0-`) || !strings.HasSuffix(place, "its user "+s.User) {
				t.Errorf("place: %q", place)
			}
		})
	}
}
