package backup

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
)

var made = time.Date(2026, time.November, 22, 3, 0, 0, 0, time.UTC)

func newKey(t *testing.T) (identity []byte, recipient string) {
	t.Helper()
	identity, recipient, err := GenerateKey(made)
	if err != nil {
		t.Fatal(err)
	}
	return identity, recipient
}

// write makes a backup of some files and records.
func write(t *testing.T, recipient string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, recipient, made)
	if err != nil {
		t.Fatal(err)
	}
	must(t, w.File("identity/authority.key", []byte("secret")))
	must(t, w.File("empty", nil))
	must(t, w.Record([]byte("t\x00acme"), bytes.Repeat([]byte("x"), 200_000)))
	must(t, w.Record([]byte("d\x00acme\x00nas"), nil))
	must(t, w.Close())
	return out.Bytes()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// readAll returns what a backup has, by path and key.
func readAll(data, identity []byte) (files, records map[string]string, at time.Time, err error) {
	files, records = map[string]string{}, map[string]string{}
	at, err = Read(bytes.NewReader(data), identity, Handler{
		File:   func(path string, data []byte) error { files[path] = string(data); return nil },
		Record: func(key, value []byte) error { records[string(key)] = string(value); return nil },
	})
	return files, records, at, err
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	identity, recipient := newKey(t)
	data := write(t, recipient)
	if bytes.Contains(data, []byte("secret")) || bytes.Contains(data, []byte("identity")) {
		t.Error("the backup shows what it holds")
	}
	files, records, at, err := readAll(data, identity)
	if err != nil || !at.Equal(made) {
		t.Fatalf("Read = %v, %v", at, err)
	}
	if diff := cmp.Diff(map[string]string{"identity/authority.key": "secret", "empty": ""}, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"t\x00acme": strings.Repeat("x", 200_000), "d\x00acme\x00nas": ""}, records); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestAnyCutIsRefused(t *testing.T) {
	t.Parallel()
	identity, recipient := newKey(t)
	data := write(t, recipient)
	for size := 0; size < len(data); size += 1 + size/50 {
		if _, _, _, err := readAll(data[:size], identity); !errors.Is(err, ErrBroken) {
			t.Fatalf("Read of %d of %d bytes = %v, want ErrBroken", size, len(data), err)
		}
	}
	if _, _, _, err := readAll(data[:len(data)-1], identity); !errors.Is(err, ErrBroken) {
		t.Errorf("Read of all but one byte = %v, want ErrBroken", err)
	}
	if _, _, _, err := readAll(append(data, 0), identity); !errors.Is(err, ErrBroken) {
		t.Errorf("Read with one byte more = %v, want ErrBroken", err)
	}
}

// A backup that was well encrypted, but whose lines are not what its end says, is refused: age alone would let it pass.
func TestLinesAreRefused(t *testing.T) {
	t.Parallel()
	identity, recipient := newKey(t)
	plain := decrypted(t, write(t, recipient), identity)
	lines := strings.SplitAfter(strings.TrimSuffix(plain, "\n"), "\n")
	last := len(lines) - 1
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"as it was":              {plain, nil},
		"nothing":                {"", ErrBroken},
		"no end":                 {strings.Join(lines[:last], ""), ErrBroken},
		"half an end":            {strings.Join(lines, "")[:len(plain)-3], ErrBroken},
		"a line less":            {strings.Join(append(append([]string{}, lines[:1]...), lines[2:]...), ""), ErrBroken},
		"a line changed":         {strings.Replace(plain, "\"empty\"", "\"other\"", 1), ErrBroken},
		"a line after the end":   {plain + lines[1], ErrBroken},
		"a file elsewhere":       {lines[0] + "{\"file\":\"../x\",\"data\":\"\"}\n", ErrBroken},
		"an unknown field":       {lines[0] + "{\"file\":\"x\",\"mode\":3}\n", ErrBroken},
		"a line of nothing":      {lines[0] + "{}\n", ErrBroken},
		"another format":         {strings.Replace(plain, format, "tar", 1), ErrBroken},
		"a newer version":        {strings.Replace(plain, "\"version\":1", "\"version\":2", 1), ErrVersion},
		"a line that never ends": {lines[0] + strings.Repeat(" ", maxLineBytes+1), ErrBroken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, _, err := readAll(encrypted(t, c.text, recipient), identity); !errors.Is(err, c.want) {
				t.Errorf("Read = %v, want %v", err, c.want)
			}
		})
	}
}

func decrypted(t *testing.T, data, identity []byte) string {
	t.Helper()
	identities, err := age.ParseIdentities(bytes.NewReader(identity))
	must(t, err)
	r, err := age.Decrypt(bytes.NewReader(data), identities...)
	must(t, err)
	plain, err := io.ReadAll(r)
	must(t, err)
	return string(plain)
}

func encrypted(t *testing.T, plain, recipient string) []byte {
	t.Helper()
	to, err := age.ParseX25519Recipient(recipient)
	must(t, err)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	must(t, err)
	_, err = io.WriteString(w, plain)
	must(t, err)
	must(t, w.Close())
	return out.Bytes()
}

func TestKeys(t *testing.T) {
	t.Parallel()
	identity, recipient := newKey(t)
	other, _ := newKey(t)
	data := write(t, recipient)
	if _, _, _, err := readAll(data, other); !errors.Is(err, ErrNotFor) {
		t.Errorf("Read with another key = %v, want ErrNotFor", err)
	}
	if _, _, _, err := readAll(data, []byte("no key")); !errors.Is(err, ErrIdentity) {
		t.Errorf("Read with no key = %v, want ErrIdentity", err)
	}
	for _, text := range []string{"", "age1", recipient + "x", strings.TrimSpace(string(identity[bytes.LastIndex(identity, []byte("AGE")):]))} {
		if _, err := NewWriter(io.Discard, text, made); !errors.Is(err, ErrRecipient) || text != "" && strings.Contains(err.Error(), text) && text != "age1" {
			t.Errorf("NewWriter(%q) = %v, want ErrRecipient, which does not show what may be a secret", text, err)
		}
	}
}

func TestHandlersErrorsEndReading(t *testing.T) {
	t.Parallel()
	identity, recipient := newKey(t)
	full := errors.New("disk full")
	_, err := Read(bytes.NewReader(write(t, recipient)), identity, Handler{
		File:   func(string, []byte) error { return nil },
		Record: func([]byte, []byte) error { return full },
	})
	if !errors.Is(err, full) {
		t.Errorf("Read = %v, want the handler's error", err)
	}
}
