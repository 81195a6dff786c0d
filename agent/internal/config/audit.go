package config

import (
	"fmt"

	"github.com/wolkvox/backup/internal/size"
)

// Audit is how what is stored at a destination is read again.
type Audit struct {
	// EveryDays is within how many days every stored byte is read again, beside the nights; 0 for only when somebody asks.
	EveryDays int `yaml:"every_days"`
	// BytesPerSecond is the most that is read of that in a second; no limit where not set.
	BytesPerSecond *size.Size `yaml:"bytes_per_second"`
	// Repair says whether what was altered is moved aside, to .wolkvox/aside, so that the next night copies it again. Where not
	// set it is so.
	Repair *bool `yaml:"repair"`
}

// Repairs reports whether what was altered is moved aside.
func (a Audit) Repairs() bool { return a.Repair == nil || *a.Repair }

// Rate returns the most that is read in a second, 0 for no limit.
func (a Audit) Rate() int64 {
	if a.BytesPerSecond == nil {
		return 0
	}
	return int64(*a.BytesPerSecond)
}

// Retention is what the client itself removes.
type Retention struct {
	// OlderThanDays says that recordings of nights that are more than so many days ago are removed by the client: an audit that
	// does not find them says that they were released, not lost. 0 for none.
	OlderThanDays int `yaml:"older_than_days"`
}

// maxDays is a century.
const maxDays = 36500

func (a Audit) check() error {
	if a.EveryDays < 0 || a.EveryDays > maxDays {
		return fmt.Errorf("audit: every_days is %d; give 1 to %d, or leave it out", a.EveryDays, maxDays)
	}
	if a.BytesPerSecond != nil && *a.BytesPerSecond < minBytesPerSecond {
		return fmt.Errorf("audit: bytes_per_second is %d; give at least 1KiB", *a.BytesPerSecond)
	}
	return nil
}

func (r Retention) check() error {
	if r.OlderThanDays < 0 || r.OlderThanDays > maxDays {
		return fmt.Errorf("retention: older_than_days is %d; give 1 to %d, or leave it out", r.OlderThanDays, maxDays)
	}
	return nil
}
