// Package backup is the form of a server's backup: what cannot come back from the agents, as one stream that is encrypted
// to an age X25519 recipient (age-encryption.org/v1). It writes and reads the stream and makes keys for it. It does
// not decide what goes into a backup or where it comes to lie, and restores nothing.
//
// # Form
//
// Decrypted, a backup is lines of JSON, each ended by LF. The first is the header, the last the end; between them stand files
// and records, in any order:
//
//	{"format":"wolkvox-server-backup","version":1,"created_at":"2026-11-22T03:00:00Z"}
//	{"file":"identity/authority.crt","data":"…"}
//	{"key":"…","value":"…"}
//	{"end":{"file_count":5,"record_count":120,"sha256":"…"}}
//
// A file has its path with slashes, relative to the server's state directory, and its contents in base64; a record is
// one of the registry's, key and value in base64. The end has the SHA-256, in lower-case hexadecimal, of all lines before it.
// Nothing follows it. A stream without its end is no backup: [Read] refuses it, wherever it breaks off.
package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"path/filepath"
	"time"

	"filippo.io/age"
)

const (
	format  = "wolkvox-server-backup"
	version = 1
	// maxLineBytes is more than a record of the registry or a file of an identity ever has.
	maxLineBytes = 16 << 20
)

var (
	// ErrRecipient says that a text is no age X25519 recipient.
	ErrRecipient = errors.New("that is no age X25519 recipient: it begins with age1, and `wolkvox-server backup keygen` makes one")
	// ErrIdentity says that a text has no age X25519 identity.
	ErrIdentity = errors.New("that is no file with an age X25519 identity, as `wolkvox-server backup keygen` makes it")
	// ErrNotFor says that a backup was encrypted to another key.
	ErrNotFor = errors.New("the backup was encrypted to another key")
	// ErrBroken says that a backup is not whole or was changed.
	ErrBroken = errors.New("the backup is not whole, or was changed")
	// ErrVersion says that a newer version of the program made the backup.
	ErrVersion = errors.New("a newer version of the program made the backup")
)

// header is the first line.
type header struct {
	Format    string    `json:"format"`
	Version   int       `json:"version"`
	CreatedAt time.Time `json:"created_at"`
}

// line is any line after the header.
type line struct {
	File  string `json:"file,omitempty"`
	Data  []byte `json:"data,omitempty"`
	Key   []byte `json:"key,omitempty"`
	Value []byte `json:"value,omitempty"`
	End   *end   `json:"end,omitempty"`
}

type end struct {
	FileCount   int64  `json:"file_count"`
	RecordCount int64  `json:"record_count"`
	SHA256      string `json:"sha256"`
}

// Writer writes a backup. It is for one goroutine.
type Writer struct {
	encrypted io.WriteCloser
	sum       hash.Hash
	end       end
}

// NewWriter begins a backup, made at the instant at, that only the holder of the recipient's identity can read. The
// error wraps [ErrRecipient].
func NewWriter(w io.Writer, recipient string, at time.Time) (*Writer, error) {
	to, err := parseRecipient(recipient)
	if err != nil {
		return nil, err
	}
	encrypted, err := age.Encrypt(w, to)
	if err != nil {
		return nil, fmt.Errorf("encrypt the backup: %w", err)
	}
	b := &Writer{encrypted: encrypted, sum: sha256.New()}
	return b, b.write(header{format, version, at.UTC().Truncate(time.Second)})
}

// File adds a file of the state directory; path has slashes and leads into the directory.
func (b *Writer) File(path string, data []byte) error {
	if !filepath.IsLocal(filepath.FromSlash(path)) {
		return fmt.Errorf("back up the file %q: it is not below the state directory", path)
	}
	b.end.FileCount++
	return b.write(line{File: path, Data: data})
}

// Record adds a record of the registry.
func (b *Writer) Record(key, value []byte) error {
	b.end.RecordCount++
	return b.write(line{Key: key, Value: value})
}

// Close writes the end. Only after a nil error is the backup whole; what is written to is not closed.
func (b *Writer) Close() error {
	b.end.SHA256 = hex.EncodeToString(b.sum.Sum(nil))
	if err := b.write(line{End: &b.end}); err != nil {
		return err
	}
	if err := b.encrypted.Close(); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}

func (b *Writer) write(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	if len(text) >= maxLineBytes {
		return fmt.Errorf("write the backup: a record of %d bytes is too long", len(text))
	}
	text = append(text, '\n')
	b.sum.Write(text) // never fails (package hash)
	if _, err := b.encrypted.Write(text); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}

// Handler takes what [Read] reads. What it is given is its own.
type Handler struct {
	File   func(path string, data []byte) error
	Record func(key, value []byte) error
}

// Read reads a backup with the identity, in the form that [GenerateKey] makes, and hands its files and records to h as they
// come: only after a nil error are they all there, as they were written. It returns when the backup was made. Errors
// wrap [ErrIdentity], [ErrNotFor], [ErrBroken] or [ErrVersion], or are the handler's.
func Read(r io.Reader, identity []byte, h Handler) (createdAt time.Time, err error) {
	identities, err := age.ParseIdentities(bytes.NewReader(identity))
	if err != nil {
		return time.Time{}, ErrIdentity // age's own error shows what it could not read, which may be a secret
	}
	decrypted, err := age.Decrypt(r, identities...)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return time.Time{}, fmt.Errorf("read the backup: %w", ErrNotFor)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the backup: %w: %w", ErrBroken, err)
	}
	lines := &lineReader{reader: bufio.NewReaderSize(decrypted, 64<<10), sum: sha256.New()}
	return lines.readAll(h)
}

// lineReader reads the lines of a decrypted backup.
type lineReader struct {
	reader *bufio.Reader
	sum    hash.Hash // of the lines before the last one read
	last   []byte
	end    end // counted
}

func (l *lineReader) readAll(h Handler) (time.Time, error) {
	var first header
	if err := l.next(&first); err != nil {
		return time.Time{}, err
	}
	if first.Format != format || first.Version < 1 {
		return time.Time{}, fmt.Errorf("read the backup: it is none: %w", ErrBroken)
	}
	if first.Version > version {
		return time.Time{}, fmt.Errorf("read the backup of version %d, this program reads up to %d: %w", first.Version, version, ErrVersion)
	}
	for {
		var next line
		if err := l.next(&next); err != nil {
			return time.Time{}, err
		}
		var err error
		switch {
		case next.End != nil:
			return first.CreatedAt, l.finish(*next.End)
		case next.File != "":
			err = l.file(next, h)
		case len(next.Key) > 0:
			l.end.RecordCount++
			err = h.Record(next.Key, next.Value)
		default:
			err = fmt.Errorf("read the backup: an empty line: %w", ErrBroken)
		}
		if err != nil {
			return time.Time{}, err
		}
	}
}

func (l *lineReader) file(f line, h Handler) error {
	l.end.FileCount++
	if !filepath.IsLocal(filepath.FromSlash(f.File)) {
		return fmt.Errorf("read the backup: the file %q leads out of the state directory: %w", f.File, ErrBroken)
	}
	return h.File(f.File, f.Data)
}

// next reads one line into v.
func (l *lineReader) next(v any) error {
	l.sum.Write(l.last) // never fails (package hash)
	l.last = l.last[:0]
	for {
		piece, err := l.reader.ReadSlice('\n')
		l.last = append(l.last, piece...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("read the backup: it has no end: %w: %w", ErrBroken, err)
		}
		if len(l.last) > maxLineBytes {
			return fmt.Errorf("read the backup: a line is too long: %w", ErrBroken)
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(l.last))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("read the backup: %w: %w", ErrBroken, err)
	}
	return nil
}

// finish compares what was read with what the end says.
func (l *lineReader) finish(said end) error {
	l.end.SHA256 = hex.EncodeToString(l.sum.Sum(nil))
	if said != l.end {
		return fmt.Errorf("read the backup: its end names %d files and %d records, there were %d and %d, or others: %w",
			said.FileCount, said.RecordCount, l.end.FileCount, l.end.RecordCount, ErrBroken)
	}
	if _, err := l.reader.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the backup: something follows its end: %w", errors.Join(ErrBroken, err))
	}
	return nil
}
