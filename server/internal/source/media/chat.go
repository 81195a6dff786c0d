package media

import (
	"bytes"
	"unicode/utf8"
)

// isUTF8 reports whether head is text in UTF-8. Its last character may be cut where the file goes on.
func isUTF8(head []byte, sizeBytes int64) bool {
	if int64(len(head)) < sizeBytes {
		head = withoutCutRune(head)
	}
	return isText(head) && utf8.Valid(head)
}

// isUTF16 reports whether head begins with a byte order mark of UTF-16.
func isUTF16(head []byte) bool {
	return bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff"))
}

// isText reports whether there are no control characters but those of text.
func isText(text []byte) bool {
	for _, b := range text {
		if b < 0x20 && b != '\t' && b != '\n' && b != '\r' && b != '\f' || b == 0x7f {
			return false
		}
	}
	return true
}

// withoutCutRune drops the last character where head ends in the middle of it.
func withoutCutRune(text []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
		if start := len(text) - i; utf8.RuneStart(text[start]) {
			if !utf8.FullRune(text[start:]) {
				return text[:start]
			}
			break
		}
	}
	return text
}

// isMarkup reports whether text begins as JSON, HTML or XML does.
func isMarkup(text []byte) bool {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))
	if len(text) == 0 {
		return false
	}
	rest := bytes.TrimSpace(text[1:])
	switch text[0] {
	case '{':
		return startsWithAny(rest, `"}`)
	case '[':
		return startsWithAny(rest, `{["]`)
	case '<':
		return len(rest) > 0 && (startsWithAny(rest, "!?") || 'a' <= rest[0]|0x20 && rest[0]|0x20 <= 'z')
	}
	return false
}

func startsWithAny(text []byte, chars string) bool {
	return len(text) > 0 && bytes.IndexByte([]byte(chars), text[0]) >= 0
}
