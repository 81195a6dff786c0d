package config

import "fmt"

// Audit is what follows from an audit.
type Audit struct {
	// Repair says whether what was altered is moved aside, to .wolkvox/aside, so that the next night copies it again. Where not
	// set it is so.
	Repair *bool `yaml:"repair"`
}

// Repairs reports whether what was altered is moved aside.
func (a Audit) Repairs() bool { return a.Repair == nil || *a.Repair }

// Retention is what the client itself removes.
type Retention struct {
	// OlderThanDays says that recordings of nights that are more than so many days ago are removed by the client: an audit that
	// does not find them says that they were released, not lost. 0 for none.
	OlderThanDays int `yaml:"older_than_days"`
}

// maxDays is a century.
const maxDays = 36500

func (r Retention) check() error {
	if r.OlderThanDays < 0 || r.OlderThanDays > maxDays {
		return fmt.Errorf("retention: older_than_days is %d; give 1 to %d, or leave it out", r.OlderThanDays, maxDays)
	}
	return nil
}
