package dest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/wolkvox/backup"
)

func TestMarkerText(t *testing.T) {
	t.Parallel()
	m := NewMarker("wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff")
	if other := NewMarker(m.Origin); other.ID == m.ID || len(m.ID) != 32 {
		t.Errorf("NewMarker gave the ids %q and %q", m.ID, other.ID)
	}
	got, err := ParseMarker(m.Format())
	if err != nil || got != m {
		t.Errorf("ParseMarker(Format(%v)) = %v, %v", m, got, err)
	}
	text := string(m.Format())
	for what, bad := range map[string]string{
		"empty": "", "no last LF": strings.TrimSuffix(text, "\n"), "more": text + "\n", "CR": strings.ReplaceAll(text, "\n", "\r\n"),
		"upper case": strings.ToUpper(text), "version": strings.Replace(text, "v1", "v2", 1), "short id": strings.Replace(text, m.ID, m.ID[1:], 1),
		"no origin": strings.Replace(text, m.Origin, "", 1), "space": strings.Replace(text, "acme", "ac me", 1), "key": strings.Replace(text, "id ", "ID ", 1),
		"upper id": strings.Replace(text, m.ID, "A"+m.ID[1:], 1), "long": strings.Replace(text, "acme", strings.Repeat("a", 300), 1),
	} {
		if _, err := ParseMarker([]byte(bad)); !errors.Is(err, ErrMarker) {
			t.Errorf("ParseMarker(%s) = %v, want ErrMarker", what, err)
		}
	}
}

func FuzzParseMarker(f *testing.F) {
	f.Add(NewMarker("wolkvox.com/backup/a/b/c").Format())
	f.Fuzz(func(t *testing.T, text []byte) {
		if m, err := ParseMarker(text); err == nil && !bytes.Equal(m.Format(), text) {
			t.Errorf("%q is taken and formatted as %q", text, m.Format())
		}
	})
}

func TestUnreachableIsNeverMissing(t *testing.T) {
	t.Parallel()
	err := error(&UnreachableError{Place: `\\nas\share`, Cause: &fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}})
	if !errors.Is(err, ErrUnreachable) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is ErrUnreachable: %v, fs.ErrNotExist: %v", err, errors.Is(err, ErrUnreachable), errors.Is(err, fs.ErrNotExist))
	}
	if code, ok := errors.AsType[syscall.Errno](err); !ok || code != syscall.ENOENT {
		t.Errorf("the system's code is %v, %v", code, ok)
	}
}

func TestDigestReader(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("recording "), 1000)
	want := backup.Digest{SHA256: sha256.Sum256(data), SizeBytes: int64(len(data))}
	other := bytes.Clone(data)
	other[5000] ^= 1
	for what, wrap := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader, "data with EOF": iotest.DataErrReader, "half": iotest.HalfReader,
	} {
		got, err := io.ReadAll(newDigestReader(wrap(bytes.NewReader(data)), want))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: read %d bytes, %v", what, len(got), err)
		}
		for name, bad := range map[string][]byte{"altered": other, "short": data[:9999], "long": append(bytes.Clone(data), 'x'), "empty": nil} {
			got, err := io.ReadAll(newDigestReader(wrap(bytes.NewReader(bad)), want))
			if !errors.Is(err, backup.ErrDigest) || len(got) > len(data) {
				t.Errorf("%s, %s: read %d bytes, %v, want backup.ErrDigest", what, name, len(got), err)
			}
			if name == "altered" && len(got) == len(data) {
				t.Errorf("%s, %s: all bytes were handed out", what, name)
			}
		}
	}
	broken := errors.New("the line broke")
	if _, err := io.ReadAll(newDigestReader(io.MultiReader(bytes.NewReader(data[:10]), iotest.ErrReader(broken)), want)); !errors.Is(err, broken) {
		t.Errorf("a broken line = %v", err)
	}
}
