package config

import (
	"strings"
	"testing"
)

// TestAudit reads how what is stored is audited, and refuses what makes no sense.
func TestAudit(t *testing.T) {
	t.Parallel()
	const head = "state_dir: /var/lib/x\ndestinations:\n- name: nas\n  directory: /mnt/nas\n"
	c, err := Parse([]byte(head + "  audit: {every_days: 30, bytes_per_second: 4MiB, repair: false}\n  retention: {older_than_days: 730}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d := c.Destinations[0]; d.Audit.EveryDays != 30 || d.Audit.Rate() != 4<<20 || d.Audit.Repairs() || d.Retention.OlderThanDays != 730 {
		t.Errorf("read as %+v, %+v", d.Audit, d.Retention)
	}
	if c, err := Parse([]byte(head)); err != nil || !c.Destinations[0].Audit.Repairs() || c.Destinations[0].Audit.Rate() != 0 {
		t.Errorf("of nothing: %+v, %v", c, err)
	}
	for text, key := range map[string]string{
		"  audit: {every_days: -1}\n": "every_days", "  audit: {bytes_per_second: 5}\n": "bytes_per_second", "  retention: {older_than_days: 40000}\n": "older_than_days",
	} {
		if _, err := Parse([]byte(head + text)); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
