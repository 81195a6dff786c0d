// Package portable gives the files of a source names that are valid and distinct on Windows, Linux, SMB, S3
// and Azure alike (proto/README.md, section 1.4). What it changes in a name can be read back from it, except
// where a name was too long; the source's own path is kept beside it in any case. It does not know which names
// are taken: its caller does.
package portable

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode/utf8"

	backup "github.com/wolkvox/backup"
)

// Path returns the portable path of a file: source with every character and byte that is not portable, and
// every "%", written as "%xx" for each of its bytes. Source is relative and clean (path.Clean leaves it as it
// is), not empty, and of any bytes. The result always passes [backup.CheckPath]; different sources may get results
// that are equal, or equal when folded, only where one of them was too long: see [Distinct].
//
// A component that is too long is cut and ends in "~", 12 hexadecimal characters of the SHA-256 of the source path
// up to its own end, and its extension, so that the files of a long-named folder stay together. In a path
// that is too long the last folders are dropped and the name ends the same way.
func Path(source string) string {
	components := strings.Split(source, "/")
	end := 0
	for i, raw := range components {
		end += len(raw)
		name := encode(raw, i == 0)
		if len(name) > backup.MaxComponentBytes {
			name = suffixed(name, hashSuffix(source[:end]))
		}
		components[i] = name
		end++
	}
	path := strings.Join(components, "/")
	if len(path) > backup.MaxPathBytes {
		last := len(components) - 1
		name := encode(source[strings.LastIndexByte(source, '/')+1:], last == 0)
		path = join(strings.Join(components[:last], "/"), suffixed(name, hashSuffix(source)))
	}
	return path
}

// Source is the inverse of [Path] for a path that was not cut. It fails where "%" is not followed by two
// lower-case hexadecimal characters.
func Source(path string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			b.WriteByte(path[i])
			continue
		}
		if i+2 >= len(path) {
			return "", fmt.Errorf("decode %q: it ends after %%", path)
		}
		high, low := strings.IndexByte(hexDigits, path[i+1]), strings.IndexByte(hexDigits, path[i+2])
		if high < 0 || low < 0 {
			return "", fmt.Errorf("decode %q: %q is not a byte", path, path[i:i+3])
		}
		b.WriteByte(byte(high<<4 | low))
		i += 2
	}
	return b.String(), nil
}

const hexDigits = "0123456789abcdef"

// encode makes one component portable, but for its length.
func encode(raw string, first bool) string {
	var b strings.Builder
	for i, width := 0, 0; i < len(raw); i += width {
		var r rune
		r, width = utf8.DecodeRuneInString(raw[i:])
		switch last := i+width == len(raw); {
		case r == utf8.RuneError && width == 1, // not UTF-8
			r < 0x20, r == 0x7f, r == '%', strings.ContainsRune(backup.ForbiddenRunes, r),
			i == 0 && r == ' ', last && (r == ' ' || r == '.'):
			escape(&b, raw[i:i+width])
		default:
			b.WriteString(raw[i : i+width])
		}
	}
	name := b.String()
	if backup.IsReservedName(name) || first && strings.HasPrefix(Fold(name), backup.OwnPrefix) {
		_, width := utf8.DecodeRuneInString(name)
		b.Reset()
		escape(&b, name[:width])
		return b.String() + name[width:]
	}
	return name
}

func escape(b *strings.Builder, raw string) {
	for i := range len(raw) {
		b.WriteByte('%')
		b.WriteByte(hexDigits[raw[i]>>4])
		b.WriteByte(hexDigits[raw[i]&15])
	}
}

func hashSuffix(source string) string {
	sum := sha256.Sum256([]byte(source))
	return fmt.Sprintf("~%x", sum[:6])
}
