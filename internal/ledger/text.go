package ledger

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"
)

// The readers below accept exactly the canonical form (proto/README.md, section 1.1) and report whether they did.

func readDecimal[T string | []byte](s T) (int64, bool) {
	if len(s) == 0 || len(s) > 16 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, n <= MaxDecimal
}

func readHash(s string) (h tlog.Hash, ok bool) {
	if len(s) != hex.EncodedLen(len(h)) {
		return h, false
	}
	for i := range h {
		high, ok1 := hexDigit(s[2*i])
		low, ok2 := hexDigit(s[2*i+1])
		if !ok1 || !ok2 {
			return tlog.Hash{}, false
		}
		h[i] = high<<4 | low
	}
	return h, true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

func isHex(s string, length int) bool {
	if len(s) != length {
		return false
	}
	for i := range len(s) {
		if _, ok := hexDigit(s[i]); !ok {
			return false
		}
	}
	return true
}

const timeLayout = "2006-01-02T15:04:05Z"

func readTime(s string) (time.Time, bool) {
	if len(s) != len(timeLayout) || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[19] != 'Z' {
		return time.Time{}, false
	}
	year, ok1 := readDigits(s[0:4])
	month, ok2 := readDigits(s[5:7])
	day, ok3 := readDigits(s[8:10])
	hour, ok4 := readDigits(s[11:13])
	minute, ok5 := readDigits(s[14:16])
	second, ok6 := readDigits(s[17:19])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) || year < 1970 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	if t.Month() != time.Month(month) || t.Day() != day { // time.Date carries a day that does not exist into the next month
		return time.Time{}, false
	}
	return t, true
}

func readDigits(s string) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// isTime reports whether t can be written: whole seconds, years 1970 to 9999.
func isTime(t time.Time) bool {
	return t.Nanosecond() == 0 && t.Unix() >= 0 && t.Unix() <= MaxCosignedSeconds
}

// appendTime writes t. What [isTime] denies is written so that readTime refuses it.
func appendTime(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, time.RFC3339Nano) }

func appendHash(b []byte, h tlog.Hash) []byte { return hex.AppendEncode(b, h[:]) }

func appendDecimal(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

// isWords reports whether s is lower-case letters and digits in groups joined by single hyphens.
func isWords(s string, maxBytes int) bool {
	if len(s) == 0 || len(s) > maxBytes {
		return false
	}
	previous := byte('-')
	for i := range len(s) {
		c := s[i]
		if c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') || c == '-' && previous == '-' {
			return false
		}
		previous = c
	}
	return previous != '-'
}

func isLabel(s string) bool { return isWords(s, MaxLabelBytes) }

func isCode(s string) bool { return isWords(s, MaxCodeBytes) && 'a' <= s[0] && s[0] <= 'z' }

// isText reports whether b obeys the rules for every text: UTF-8, no control characters but LF, LF at the end.
func isText(b []byte) bool {
	if len(b) == 0 || b[len(b)-1] != '\n' || strings.HasPrefix(string(b[:min(3, len(b))]), "\ufeff") {
		return false
	}
	for _, c := range b {
		if c < 0x20 && c != '\n' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(b)
}

// readBase64 decodes standard padded base64. The decoder alone would pass over line breaks.
func readBase64(s string) ([]byte, bool) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return b, err == nil && base64.StdEncoding.EncodedLen(len(b)) == len(s)
}

const lowerHex = "0123456789abcdef"

func standsForItself(c byte) bool { return 0x21 <= c && c <= 0x7e && c != '%' }

// Escaped returns s as an escaped value of a manifest's line (proto/README.md, section 1.1); s is not empty.
func Escaped(s string) string { return string(appendEscaped(nil, s)) }

// appendEscaped writes s as an escaped value; s is not empty.
func appendEscaped(b []byte, s string) []byte {
	if s == "-" {
		return append(b, "%2d"...)
	}
	for i := range len(s) {
		if c := s[i]; standsForItself(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', lowerHex[c>>4], lowerHex[c&15])
		}
	}
	return b
}

// readEscaped is the inverse of appendEscaped. The result shares s where nothing was escaped.
func readEscaped(s string) (string, bool) {
	if s == "%2d" {
		return "-", true
	}
	if s == "" || s == "-" {
		return "", false
	}
	escapes := 0
	for i := 0; i < len(s); i++ {
		if standsForItself(s[i]) {
			continue
		}
		if s[i] != '%' || i+2 >= len(s) {
			return "", false
		}
		high, ok1 := hexDigit(s[i+1])
		low, ok2 := hexDigit(s[i+2])
		if !ok1 || !ok2 || standsForItself(high<<4|low) {
			return "", false
		}
		escapes++
		i += 2
	}
	if escapes == 0 {
		return s, true
	}
	b := make([]byte, 0, len(s)-2*escapes)
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		high, _ := hexDigit(s[i+1])
		low, _ := hexDigit(s[i+2])
		b = append(b, high<<4|low)
		i += 2
	}
	return string(b), true
}
