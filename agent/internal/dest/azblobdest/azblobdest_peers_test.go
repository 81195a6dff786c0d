//go:build peers

package azblobdest_test

import (
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/azblobdest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/internal/peertest/azurite"
)

// TestDriver runs the conformance suite with each way of logging in, and with parts so small that everything goes in blocks.
func TestDriver(t *testing.T) {
	t.Parallel()
	server := azurite.Start(t, azurite.Options{})
	for name, set := range map[string]func(s *site){
		"key": func(*site) {},
		"signature, blocks, read back": func(s *site) {
			s.options.SAS, s.options.Key = func() (string, error) { return "?" + s.sas(), nil }, nil
			s.options.Prefix, s.options.PartBytes, s.options.Readback = "", 64<<10, true
			s.options.Tier = azblobdest.Cool
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			desttest.Run(t, func(t *testing.T) desttest.Env {
				s := newSite(t, server)
				set(s)
				return desttest.Env{
					Opener:     azblobdest.New(s.options),
					NewProcess: func() dest.Opener { return azblobdest.New(s.options) },
					Plant:      func(t *testing.T, name string, data []byte) { s.plant(t, name, data, nil) },
					PlantOdd: func(t *testing.T, name string) {
						yes := "true"
						s.plant(t, name, nil, map[string]*string{"hdi_isfolder": &yes})
					},
					Unplug:     func(*testing.T) func() { return s.unplug() },
					CrashEvery: 3,
					Slow:       true,
					NoSpace:    true,
					Uploads:    true,
				}
			})
		})
	}
}
