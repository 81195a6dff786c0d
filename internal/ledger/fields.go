package ledger

import (
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// fields takes a text's "key value" lines one after the other. After the first mistake every further value is
// zero. A limit that is exceeded is kept apart, because it counts only where nothing else is wrong.
type fields struct {
	rest    string
	refused *RefusedError // TEXT
	limit   *RefusedError // LIMIT
}

func (f *fields) fail(format string, args ...any) {
	if f.refused == nil {
		f.refused = refuse(ReasonText, format, args...)
		f.rest = ""
	}
}

// line takes the next line, without its LF.
func (f *fields) line() string {
	line, rest, ok := strings.Cut(f.rest, "\n")
	if !ok {
		f.fail("the text ends early")
		return ""
	}
	f.rest = rest
	return line
}

// value takes the next line, which must have this key.
func (f *fields) value(key string) string {
	line := f.line()
	value, ok := strings.CutPrefix(line, key)
	if !ok || !strings.HasPrefix(value, " ") {
		f.fail("%.80q stands where %s was expected", line, key)
		return ""
	}
	return value[1:]
}

func (f *fields) decimal(key string, least int64) int64 {
	s := f.value(key)
	n, ok := readDecimal(s)
	if !ok || n < least {
		f.fail("%s is %.80q instead of a decimal from %d to %d", key, s, least, int64(MaxDecimal))
		return 0
	}
	return n
}

func (f *fields) hash(key string) tlog.Hash {
	s := f.value(key)
	h, ok := readHash(s)
	if !ok {
		f.fail("%s is %.80q instead of 64 lower-case hexadecimal characters", key, s)
	}
	return h
}

func (f *fields) time(key string) time.Time {
	s := f.value(key)
	t, ok := readTime(s)
	if !ok {
		f.fail("%s is %.80q instead of a time of the form YYYY-MM-DDThh:mm:ssZ", key, s)
	}
	return t
}

func (f *fields) origin(key string) Origin {
	o, err := ParseOrigin(f.value(key))
	if err != nil {
		f.fail("%s: %v", key, err)
	}
	return o
}

func (f *fields) verifier(key string) Verifier {
	v, err := ParseVerifier(f.value(key))
	if err != nil {
		f.fail("%s: %v", key, err)
	}
	return v
}

// oneOf takes a value that is one of the codes.
func (f *fields) oneOf(key string, codes ...string) string {
	s := f.value(key)
	for _, code := range codes {
		if s == code {
			return code
		}
	}
	f.fail("%s is %.80q instead of one of %s", key, s, strings.Join(codes, ", "))
	return ""
}

func (f *fields) indexes() Set {
	set, refused := parseSet(f.value("indexes"))
	switch {
	case refused == nil:
	case refused.Reason == ReasonLimit:
		f.limit = refused
	default:
		f.fail("indexes: %s", refused.Detail)
	}
	return set
}

// end refuses whatever follows the last line.
func (f *fields) end() {
	if f.rest != "" {
		f.fail("%.80q follows the last line", f.rest)
	}
}

func appendField(b []byte, key, value string) []byte {
	return append(append(append(append(b, key...), ' '), value...), '\n')
}

func appendDecimalField(b []byte, key string, n int64) []byte {
	return append(appendDecimal(append(append(b, key...), ' '), n), '\n')
}

func appendHashField(b []byte, key string, h tlog.Hash) []byte {
	return append(appendHash(append(append(b, key...), ' '), h), '\n')
}

func appendTimeField(b []byte, key string, t time.Time) []byte {
	return append(appendTime(append(append(b, key...), ' '), t), '\n')
}
