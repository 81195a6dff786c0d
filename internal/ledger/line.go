package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/wolkvox/backup"
	"golang.org/x/mod/sumdb/tlog"
)

// FormatLine returns the manifest line of it, without LF (proto/README.md, section 1.4). It refuses what [ParseLine]
// would refuse.
func FormatLine(it backup.Item) ([]byte, error) {
	if err := checkItem(it); err != nil {
		return nil, fmt.Errorf("format the manifest line of %.200q: %w", it.Path, err)
	}
	b := make([]byte, 0, 112+len(it.Interaction)+2*len(it.Path)+2*len(it.SourcePath))
	b = append(appendHash(b, it.Digest.SHA256), ' ')
	b = append(appendDecimal(b, it.Digest.SizeBytes), ' ')
	b = append(append(b, it.Kind.String()...), ' ')
	if it.RecordedAt.IsZero() {
		b = append(b, none...)
	} else {
		b = appendTime(b, it.RecordedAt)
	}
	b = appendOptional(append(b, ' '), it.Interaction)
	b = appendEscaped(append(b, ' '), it.Path)
	b = appendOptional(append(b, ' '), it.SourcePath)
	return b, nil
}

// checkItem reports why no line can say it.
func checkItem(it backup.Item) error {
	if err := checkNames(it); err != nil {
		return err
	}
	if it.Digest.SizeBytes < 0 || it.Digest.SizeBytes > MaxDecimal {
		return fmt.Errorf("the size is %d bytes", it.Digest.SizeBytes)
	}
	if it.Kind < backup.KindGSM || it.Kind > backup.KindOther {
		return fmt.Errorf("the kind is %s", it.Kind)
	}
	if !it.RecordedAt.IsZero() && !isTime(it.RecordedAt) {
		return fmt.Errorf("the recorded time %s is not in whole seconds of the years 1970 to 9999", it.RecordedAt)
	}
	return nil
}

func checkNames(it backup.Item) error {
	if err := backup.CheckPath(it.Path); err != nil {
		return err
	}
	if len(it.Interaction) > MaxInteractionBytes {
		return fmt.Errorf("the interaction has %d bytes, more than %d", len(it.Interaction), MaxInteractionBytes)
	}
	if len(it.SourcePath) > MaxSourcePathBytes {
		return fmt.Errorf("the source path has %d bytes, more than %d", len(it.SourcePath), MaxSourcePathBytes)
	}
	if it.SourcePath == it.Path {
		return errors.New("the source path equals the path, and is then left out")
	}
	return nil
}

func appendOptional(b []byte, s string) []byte {
	if s == "" {
		return append(b, none...)
	}
	return appendEscaped(b, s)
}

func readOptional(s string) (string, bool) {
	if s == none {
		return "", true
	}
	return readEscaped(s)
}

// ParseLine reads the manifest line of an item, without LF. The error is a [*RefusedError] with LIMIT or TEXT.
func ParseLine(line []byte) (backup.Item, error) {
	if len(line) > MaxLineBytes {
		return backup.Item{}, refuse(ReasonLimit, "the line has %d bytes, more than %d", len(line), MaxLineBytes)
	}
	rest := string(line)
	var parts [7]string
	for i := range parts {
		part, after, more := strings.Cut(rest, " ")
		if more != (i < len(parts)-1) {
			return backup.Item{}, refuse(ReasonText, "%.200q is not a line of seven parts", line)
		}
		parts[i], rest = part, after
	}
	digest, ok := readHash(parts[0])
	size, ok2 := readDecimal(parts[1])
	kind, err := backup.ParseMediaKind(parts[2])
	it := backup.Item{Digest: backup.Digest{SHA256: digest, SizeBytes: size}, Kind: kind}
	ok3 := parts[3] == none
	if !ok3 {
		it.RecordedAt, ok3 = readTime(parts[3])
	}
	var ok4, ok5, ok6 bool
	it.Interaction, ok4 = readOptional(parts[4])
	it.Path, ok5 = readEscaped(parts[5])
	it.SourcePath, ok6 = readOptional(parts[6])
	if !(ok && ok2 && ok3 && ok4 && ok5 && ok6) || err != nil {
		return backup.Item{}, refuse(ReasonText, "%.200q is no canonical manifest line", line)
	}
	if err := checkNames(it); err != nil {
		return backup.Item{}, refuse(ReasonText, "the manifest line of %.200q: %v", it.Path, err)
	}
	return it, nil
}

// LineHash returns the RFC 6962 §2.1 leaf hash of a manifest line, given without LF.
func LineHash(line []byte) tlog.Hash {
	var typical [512]byte
	return sha256.Sum256(append(append(typical[:0], 0x00), line...))
}

const forgottenPrefix = "forgotten "

// Line is one line of a manifest as it is kept and sent: an item's, or what is left of an erased one.
type Line struct {
	Item      backup.Item // zero where Forgotten
	Forgotten bool
	Hash      tlog.Hash // the line's leaf hash
	Text      []byte    // the line itself without LF; shares the bytes that were parsed
}

// ParseManifestLine reads an item's line, or "forgotten HASH", without LF. The error is a [*RefusedError] with LIMIT
// or TEXT. That a line may only be forgotten where a forgotten entry names its index is for the caller to check.
func ParseManifestLine(line []byte) (Line, error) {
	if hash, ok := strings.CutPrefix(string(line[:min(len(line), len(forgottenPrefix)+65)]), forgottenPrefix); ok {
		h, ok := readHash(hash)
		if !ok {
			return Line{}, refuse(ReasonText, "%.200q is no canonical manifest line", line)
		}
		return Line{Forgotten: true, Hash: h, Text: line}, nil
	}
	it, err := ParseLine(line)
	if err != nil {
		return Line{}, err
	}
	return Line{Item: it, Hash: LineHash(line), Text: line}, nil
}

// ForgottenLine returns the line, without LF, that stands for an erased one with this leaf hash.
func ForgottenLine(h tlog.Hash) []byte { return appendHash([]byte(forgottenPrefix), h) }
