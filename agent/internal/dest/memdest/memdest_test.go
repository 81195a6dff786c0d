package memdest_test

import (
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
)

func TestDriver(t *testing.T) {
	desttest.Run(t, func(t *testing.T) desttest.Env {
		disk := memdest.New()
		return desttest.Env{
			Opener:     disk,
			NewProcess: func() dest.Opener { return disk },
			Plant:      func(_ *testing.T, name string, data []byte) { disk.Plant(name, data) },
			PlantOdd:   func(_ *testing.T, name string) { disk.PlantOdd(name) },
			FlipStaged: func(t *testing.T) {
				if disk.FlipStaged() == 0 {
					t.Error("nothing was staged")
				}
			},
			Unplug:   func(*testing.T) func() { disk.Unplug(); return disk.Plug },
			CutPower: disk.CutPower,
		}
	})
}

func TestObjects(t *testing.T) {
	desttest.Run(t, func(t *testing.T) desttest.Env {
		disk := memdest.NewObjects()
		return desttest.Env{
			Opener:     disk,
			NewProcess: func() dest.Opener { return disk },
			Plant:      func(_ *testing.T, name string, data []byte) { disk.Plant(name, data) },
			Unplug:     func(*testing.T) func() { disk.Unplug(); return disk.Plug },
			Uploads:    true,
		}
	})
}
