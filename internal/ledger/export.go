package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// Names of the files of an exported ledger (proto/README.md, section 1.6), with slashes.
const (
	ExportedLedger = "ledger.txt"
	ExportedHead   = "head.txt"
	// ExportedWitness is no part of the ledger: what third parties signed of it (section 1.9).
	ExportedWitness = "witness.txt"
)

// ExportedManifest returns the name of the file with the lines of manifest n in an exported ledger.
func ExportedManifest(n int64) string { return fmt.Sprintf("manifests/%d.txt", n) }

// AppendExported writes the entry with this index to an exported ledger.
func AppendExported(w io.Writer, index int64, leaf []byte) error {
	if _, err := w.Write(append(appendEntryLine(nil, index, len(leaf)), leaf...)); err != nil {
		return fmt.Errorf("export entry %d: %w", index, err)
	}
	return nil
}

// appendEntryLine writes "entry INDEX BYTES" LF.
func appendEntryLine(b []byte, index int64, sizeBytes int) []byte {
	b = append(appendDecimal(append(b, "entry "...), index), ' ')
	return append(appendDecimal(b, int64(sizeBytes)), '\n')
}

// maxEntryLineBytes is enough for "entry INDEX BYTES" with the greatest decimals.
const maxEntryLineBytes = 64

// ReadExported yields the leaves of an exported ledger in their order, each in memory of its own. It checks the framing
// only. An error ends it: a [*RefusedError] with TEXT, or with LIMIT for an entry that is too long, or what
// reading r returned.
func ReadExported(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		in := bufio.NewReader(r)
		for index := int64(0); ; index++ {
			leaf, err := readExportedEntry(in, index)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("read entry %d of the exported ledger: %w", index, err))
				return
			}
			if !yield(leaf, nil) {
				return
			}
		}
	}
}

// readExportedEntry returns io.EOF exactly where the ledger ends before the entry.
func readExportedEntry(in *bufio.Reader, index int64) ([]byte, error) {
	line := make([]byte, 0, maxEntryLineBytes)
	for len(line) == 0 || line[len(line)-1] != '\n' {
		c, err := in.ReadByte()
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil, io.EOF
		}
		if err != nil {
			return nil, endsEarly(err)
		}
		if len(line) == maxEntryLineBytes {
			return nil, refuse(ReasonText, "%.80q is no line entry INDEX BYTES", line)
		}
		line = append(line, c)
	}
	size, ok := readEntryLine(string(line[:len(line)-1]), index)
	if !ok {
		return nil, refuse(ReasonText, "%.80q is not the line entry %d BYTES", line, index)
	}
	if size > MaxEntryBytes {
		return nil, refuse(ReasonLimit, "the entry has %d bytes, more than %d", size, MaxEntryBytes)
	}
	leaf := make([]byte, size)
	if _, err := io.ReadFull(in, leaf); err != nil {
		return nil, endsEarly(err)
	}
	return leaf, nil
}

func readEntryLine(line string, index int64) (sizeBytes int64, ok bool) {
	rest, ok := strings.CutPrefix(line, "entry ")
	first, second, ok2 := strings.Cut(rest, " ")
	i, ok3 := readDecimal(first)
	size, ok4 := readDecimal(second)
	return size, ok && ok2 && ok3 && ok4 && i == index
}

func endsEarly(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return refuse(ReasonText, "the exported ledger ends in the middle of an entry")
	}
	return err
}
