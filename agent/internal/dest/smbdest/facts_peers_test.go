//go:build peers

package smbdest_test

import (
	"slices"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/smbdest"
	"github.com/wolkvox/backup/internal/peertest/samba"
)

// TestFacts: who the agent is, and how the server is spoken to.
func TestFacts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options samba.Options
		domain  string
		want    []string
	}{
		"signed":    {samba.Options{}, "", []string{"the share takes the agent for the server's own user root", "the connection is SMB 3.1.1 and signed"}},
		"encrypted": {samba.Options{Encrypt: true}, "ACME", []string{"the share takes the agent for the user root of the domain ACME", "the connection is SMB 3.1.1 and encrypted"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(samba.Start(t, test.options), "")
			o.Domain = test.domain
			driver, err := smbdest.New(o).Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer driver.Close()
			var want []dest.Fact
			for _, text := range test.want {
				want = append(want, dest.Fact{Subject: dest.SubjectPlace, Text: text})
			}
			if got := driver.(dest.Reporter).Facts(t.Context()); !slices.Equal(got, want) {
				t.Errorf("Facts = %+v, want %+v", got, want)
			}
		})
	}
}
