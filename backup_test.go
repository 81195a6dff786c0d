package backup

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

func TestDeadline(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, zone, night, sealed string
		kind                      StorageKind
		want                      string
	}{
		{"wolkvox on time", "America/Bogota", "2026-03-01", "2026-03-02T05:30:00Z", StorageWolkvox, "2026-04-02T05:00:00Z"},
		{"rsync on time", "America/Bogota", "2026-03-01", "2026-03-02T05:30:00Z", StorageRSYNC, "2026-03-18T05:00:00Z"},
		{"azblob on time", "America/Bogota", "2026-03-01", "2026-03-02T05:30:00Z", StorageAzblob, "2026-03-13T05:00:00Z"},
		{"s3 on time", "America/Bogota", "2026-03-01", "2026-03-02T05:30:00Z", StorageS3, "2026-03-13T05:00:00Z"},
		{"s3 the same evening", "America/Bogota", "2026-03-01", "2026-03-02T04:59:59Z", StorageS3, "2026-03-12T05:00:00Z"},
		{"s3 a week late", "America/Bogota", "2026-03-01", "2026-03-08T17:00:00Z", StorageS3, "2026-03-19T05:00:00Z"},
		{"sealed before the night by a zone's width", "America/Bogota", "2026-03-05", "2026-03-04T23:00:00Z", StorageS3, "2026-03-16T05:00:00Z"},

		// Santiago: on 2026-09-06 the clocks go from 00:00 to 01:00, so that midnight does not exist.
		{"Santiago, the missing midnight", "America/Santiago", "2026-08-26", "2026-08-26T12:00:00Z", StorageS3, "2026-09-06T04:00:00Z"},
		{"Santiago, a day before it", "America/Santiago", "2026-08-25", "2026-08-25T12:00:00Z", StorageS3, "2026-09-05T04:00:00Z"},
		{"Santiago, a day after it", "America/Santiago", "2026-08-27", "2026-08-27T12:00:00Z", StorageS3, "2026-09-07T03:00:00Z"},
		// Santiago: on 2026-04-05 at 00:00 the clocks go back to 23:00 of the day before, which is 25 hours long.
		{"Santiago, the long day", "America/Santiago", "2026-03-25", "2026-03-25T12:00:00Z", StorageS3, "2026-04-05T04:00:00Z"},
		{"Santiago, a day before the long one", "America/Santiago", "2026-03-24", "2026-03-24T12:00:00Z", StorageS3, "2026-04-04T03:00:00Z"},
		{"Santiago, rsync across the long day", "America/Santiago", "2026-03-25", "2026-03-25T12:00:00Z", StorageRSYNC, "2026-04-10T04:00:00Z"},
		{"Santiago, wolkvox across the missing midnight", "America/Santiago", "2026-08-20", "2026-08-20T12:00:00Z", StorageWolkvox, "2026-09-20T03:00:00Z"},

		// Madrid: forward on 2026-03-29 at 02:00, back on 2026-10-25 at 03:00.
		{"Madrid, the eve of summer time", "Europe/Madrid", "2026-03-18", "2026-03-18T12:00:00Z", StorageS3, "2026-03-28T23:00:00Z"},
		{"Madrid, the day of summer time", "Europe/Madrid", "2026-03-19", "2026-03-19T12:00:00Z", StorageS3, "2026-03-29T22:00:00Z"},
		{"Madrid, the eve of winter time", "Europe/Madrid", "2026-10-14", "2026-10-14T12:00:00Z", StorageAzblob, "2026-10-24T22:00:00Z"},
		{"Madrid, the day of winter time", "Europe/Madrid", "2026-10-15", "2026-10-15T12:00:00Z", StorageAzblob, "2026-10-25T23:00:00Z"},
		{"Madrid, sealed late across both", "Europe/Madrid", "2026-03-01", "2026-03-20T23:30:00Z", StorageRSYNC, "2026-04-05T22:00:00Z"},

		// A whole day that never was, and clocks that went back across midnight.
		{"Apia, 2011-12-30 does not exist", "Pacific/Apia", "2011-12-19", "2011-12-19T20:00:00Z", StorageS3, "2011-12-30T10:00:00Z"},
		{"St John's, back across midnight", "America/St_Johns", "2010-10-27", "2010-10-27T12:00:00Z", StorageS3, "2010-11-07T03:30:00Z"},
	}
	for _, tt := range tests {
		loc, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		night, err := ParseDate(tt.night)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := time.Parse(time.RFC3339, tt.sealed)
		if err != nil {
			t.Fatal(err)
		}
		got := Deadline(night, sealed, tt.kind.WindowDays(), loc)
		if s := got.Format(time.RFC3339); s != tt.want {
			t.Errorf("%s: Deadline(%s, %s, %d, %s) = %s, want %s", tt.name, tt.night, tt.sealed, tt.kind.WindowDays(), tt.zone, s, tt.want)
		}
	}
}

// TestEndIn walks every date of many years in zones with unusual changes: the instant before the end still shows
// the date, or the date never was; from the end on no clock shows it again.
func TestEndIn(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"UTC", "America/Bogota", "America/Santiago", "Europe/Madrid", "America/St_Johns", "Pacific/Apia", "Africa/Cairo", "Asia/Gaza", "America/Havana", "Atlantic/Azores", "Australia/Lord_Howe"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		previous := time.Time{}
		for d := (Date{2010, 10, 1}); d.Year < 2027; d = d.AddDays(1) {
			if d.Year == 2013 {
				d.Year = 2025
			}
			end := d.EndIn(loc)
			if !end.After(previous) && zone != "Pacific/Apia" {
				t.Fatalf("%s: the end of %s, %s, is not after that of the day before", zone, d, end)
			}
			previous = end
			if last := DateOf(end.Add(-time.Second).In(loc)); last.Compare(d) > 0 {
				t.Fatalf("%s: a second before the end of %s clocks show %s", zone, d, last)
			}
			for after := time.Duration(0); after < 26*time.Hour; after += 40 * time.Minute {
				if shown := DateOf(end.Add(after).In(loc)); shown.Compare(d) <= 0 {
					t.Fatalf("%s: %s after the end of %s clocks show %s", zone, after, d, shown)
				}
			}
		}
	}
}

func TestCheckPath(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"a", "a/b.gsm", "2026/03/01/call~2.gsm", "añb/ü.mp3", "CONSOLE.txt", "COM", "com10", "LPT.x", ".hidden", "a .b",
		strings.Repeat("x", MaxComponentBytes), "wolkvox/a", "a/.wolkvox",
	} {
		if err := CheckPath(path); err != nil {
			t.Errorf("CheckPath(%q) = %v, want nil", path, err)
		}
	}
	for _, path := range []string{
		"", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a:b", "a\\b", "a*", "a?", "a<", "a>", "a|", `a"`, "a\x00b", "a\nb", "a\x7f",
		"a.", "a ", " a", "a/b./c", "CON", "con.gsm", "Aux .txt", "nul.", "COM1", "com0.x", "LPT9.gsm", "COM¹", "lpt³.x", "CONIN$", "conout$.a",
		".wolkvox", ".WolkVox/a", ".wolkvox-x", "\xff", strings.Repeat("x", MaxComponentBytes+1),
		strings.Repeat(strings.Repeat("x", 100)+"/", 8) + "y",
	} {
		if err := CheckPath(path); err == nil {
			t.Errorf("CheckPath(%q) = nil, want an error", path)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, s := range States {
		if got, err := ParseState(s.String()); err != nil || got != s {
			t.Errorf("ParseState(%q) = %v, %v, want %v", s, got, err, s)
		}
	}
	for k := KindGSM; k <= KindOther; k++ {
		if got, err := ParseMediaKind(k.String()); err != nil || got != k {
			t.Errorf("ParseMediaKind(%q) = %v, %v, want %v", k, got, err, k)
		}
	}
	for k, days := range map[StorageKind]int{StorageWolkvox: 30, StorageRSYNC: 15, StorageAzblob: 10, StorageS3: 10} {
		if got, err := ParseStorageKind(k.String()); err != nil || got != k {
			t.Errorf("ParseStorageKind(%q) = %v, %v, want %v", k, got, err, k)
		}
		if got := k.WindowDays(); got != days {
			t.Errorf("%v.WindowDays() = %d, want %d", k, got, days)
		}
	}
	for _, s := range []string{"", "unknown(0)", "Pending"} {
		if _, err := ParseState(s); err == nil {
			t.Errorf("ParseState(%q) is no error", s)
		}
	}
	if got := State(0).String(); got != "unknown(0)" {
		t.Errorf("State(0).String() = %q, want unknown(0)", got)
	}
}

func TestParseDate(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"2026-02-29", "2026-2-3", "1969-12-31", "26-01-01", "2026-01-01 ", ""} {
		if d, err := ParseDate(s); err == nil {
			t.Errorf("ParseDate(%q) = %v, want an error", s, d)
		}
	}
	d, err := ParseDate("2028-02-28")
	if err != nil || d.AddDays(2).String() != "2028-03-01" {
		t.Errorf("2028-02-28 and two days is %v, %v, want 2028-03-01", d.AddDays(2), err)
	}
}

func TestFirstInstant(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for _, delay := range []time.Duration{0, time.Second, 59 * time.Second, time.Minute, 14*time.Minute + 59*time.Second, 15 * time.Minute, 25*time.Hour + time.Second} {
		want := from.Add(delay)
		if got := FirstInstant(from, func(at time.Time) bool { return !at.Before(want) }); !got.Equal(want) {
			t.Errorf("FirstInstant, true from %s on, = %s", want, got)
		}
	}
	if got := FirstInstant(from.Add(time.Nanosecond), func(time.Time) bool { return true }); !got.Equal(from.Add(time.Second)) {
		t.Errorf("FirstInstant after a fraction of a second = %s, want the next whole one", got)
	}
}
