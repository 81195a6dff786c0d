package wire

import (
	"strings"
	"testing"
)

func TestReasonsCrossTheHeader(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{
		"", "left the company", "dejó la empresa", "100% sure = yes?", "=?utf-8?q?x?=", "=?", strings.Repeat("ñ", MaxReasonBytes/2), "Ünïcode ñ and more ñ",
	} {
		header, err := FormatReason("  " + reason + " ")
		if err != nil {
			t.Errorf("FormatReason(%q): %v", reason, err)
		}
		for _, b := range []byte(header) {
			if b < ' ' || b > '~' {
				t.Errorf("FormatReason(%q) = %q, which is not printable ASCII", reason, header)
				break
			}
		}
		got, err := ParseReason(header)
		if want := strings.ReplaceAll(reason, "=?utf-8?q?x?=", "x"); err != nil || got != want {
			t.Errorf("ParseReason(%q) = %q, %v, want %q", header, got, err, want)
		}
	}
	for _, reason := range []string{strings.Repeat("x", MaxReasonBytes+1), "two\nlines", "\x1b[2J", "\xff"} {
		if header, err := FormatReason(reason); err == nil {
			t.Errorf("FormatReason(%q) = %q", reason, header)
		}
	}
	for _, header := range []string{strings.Repeat("x", MaxReasonBytes+1), "=?utf-8?q?two=0Alines?=", "=?utf-8?q?=1B[2J?=", "tab\there", "=?utf-16?q?x?="} {
		if reason, err := ParseReason(header); err == nil {
			t.Errorf("ParseReason(%q) = %q", header, reason)
		}
	}
}

// What is taken is bounded, can be printed, and is written and read again as the same.
func FuzzParseReason(f *testing.F) {
	for _, seed := range []string{"left the company", "=?utf-8?q?dej=C3=B3?=", "=?utf-8?b?ZGVqw7M=?=", "=?iso-8859-1?q?=F3?=", "=?utf-16?q?x?=", " a ", "dejó", "=?utf-8?q?=0A?="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		reason, err := ParseReason(header)
		if err != nil {
			return
		}
		written, err := FormatReason(reason)
		if err != nil {
			t.Fatalf("%q is read as %q, which is none: %v", header, reason, err)
		}
		if again, err := ParseReason(written); err != nil || again != reason {
			t.Errorf("%q is read as %q, written as %q and read again as %q, %v", header, reason, written, again, err)
		}
	})
}
