package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

func code(space dest.CodeSpace, number int64, cause error) error {
	return &dest.CodeError{Space: space, Number: number, Cause: cause}
}

func named(name string, cause error) error {
	return &dest.CodeError{Space: dest.SpaceDriver, Name: name, Cause: cause}
}

func TestOf(t *testing.T) {
	t.Parallel()
	path := func(errno int64) error {
		return &fs.PathError{Op: "write", Path: "a.gsm", Err: code(dest.SpaceErrno, errno, errors.New("remote"))}
	}
	odd := errors.New("odd")
	for _, test := range []struct {
		err         error
		class, code string
		words       string // the remedy
	}{
		{dest.ErrConflict, ClassIntegrity, "CONFLICT", "move it away"},
		{fmt.Errorf("publish: %w", dest.ErrConflict), ClassIntegrity, "CONFLICT", "left untouched"},
		{fmt.Errorf("verify: %w", dest.ErrReadBack), ClassIntegrity, "READ_BACK", "check the disk"},
		{&dest.ForeignMarkerError{Want: "a", Found: "b"}, ClassDestConfig, "FOREIGN_MARKER", "configure another folder"},
		{fmt.Errorf("nas: %w", dest.ErrNoMarker), ClassDestLost, "NO_MARKER", "not mounted"},
		{fmt.Errorf("nas: %w", dest.ErrMarker), ClassDestConfig, "MARKER", "cannot be understood"},
		{fmt.Errorf("%w: %q", dest.ErrName, "CON"), ClassName, "NAME", "CON"},
		{NewShortage(dest.Space{FreeBytes: 5 << 20, FreeInodes: -1}, 1<<30, 7<<30, 3), ClassCapacity, "RESERVE", "lower `reserve`"},
		{fmt.Errorf("stage: %w", path(28)), ClassCapacity, "ENOSPC", "free space there"},
		{fmt.Errorf("stage: %w", path(30)), ClassDestConfig, "EROFS", "writable"},
		{path(5), ClassIntegrity, "EIO", "a.gsm"},
		{&dest.UnreachableError{Place: "/mnt", Cause: path(116)}, ClassDestLost, "ESTALE", "mounted"},
		{&dest.UnreachableError{Place: "/mnt", Cause: errors.New("it has not answered")}, ClassDestLost, "UNREACHABLE", "mounted"},
		{fmt.Errorf("open: %w", fs.ErrPermission), ClassPermission, "PERMISSION", "open"},
		{fmt.Errorf("init: %w: %w", dest.ErrUnsuitable, odd), ClassDestConfig, "UNSUITABLE", "another share"},
		{os.ErrDeadlineExceeded, ClassNetwork, "TIMEOUT", "in time"},
		{fmt.Errorf("dial: %w", context.DeadlineExceeded), ClassNetwork, "TIMEOUT", "in time"},
		{&dest.UnreachableError{Place: "nas", Cause: fmt.Errorf("read: %w", io.EOF)}, ClassNetwork, "CONNECTION_LOST", "network"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "nas", IsNotFound: true}}, ClassDestLost, "DNS", "resolved"},
		{odd, ClassOther, "UNKNOWN", "odd"},
		// More than one cause: what is at the destination says more than the system's code.
		{errors.Join(path(17), dest.ErrConflict), ClassIntegrity, "CONFLICT", "move it away"},
		{fmt.Errorf("%w: %w", dest.ErrReadBack, path(5)), ClassIntegrity, "READ_BACK", "check the disk"},
		// An errno says more than a tool's status, and evidence more than a server's shrug.
		{code(dest.SpaceRsync, 11, path(122)), ClassQuota, "EDQUOT", "raise it"},
		{code(dest.SpaceRsync, 23, path(13)), ClassPermission, "EACCES", "right to"},
		{code(dest.SpaceRsync, 12, fmt.Errorf("rsync: %w", odd)), ClassNetwork, "RSYNC 12", "network"},
		{code(dest.SpaceRsync, 5, named(dest.CodeAuth, odd)), ClassCredential, dest.CodeAuth, "password"},
		{code(dest.SpaceSFTP, 4, odd), ClassOther, "SSH_FX_FAILURE", "full disk"},
		{code(dest.SpaceSFTP, 4, errors.Join(odd, path(28))), ClassCapacity, "ENOSPC", "free space"},
		{errors.Join(path(9999), path(28)), ClassCapacity, "ENOSPC", "free space"},
		{path(1), ClassPermission, "EPERM", "immutable"},
		{errors.Join(path(1), named(dest.CodeImmutable, odd)), ClassImmutable, "IMMUTABLE", "WORM"},
		{named(dest.CodeImmutable, path(1)), ClassImmutable, "IMMUTABLE", "WORM"},
		{named(dest.CodeWriteRefused, path(28)), ClassCapacity, "ENOSPC", "free space"},
		{named(dest.CodeProgram, path(2)), ClassDestConfig, dest.CodeProgram, "install"},
		{named("NEW", odd), ClassOther, "NEW", "odd"},
		{&dest.CodeError{Space: dest.SpaceNTStatus, Number: 0xC000006D, Name: "STATUS_LOGON_FAILURE", Cause: odd}, ClassCredential, "STATUS_LOGON_FAILURE", "password"},
	} {
		got := Of(test.err)
		if got.Code != test.code || got.Class != test.class || got.Party == "" {
			t.Errorf("Of(%v) = %+v, want the class %s and the code %s", test.err, got, test.class, test.code)
		}
		if !strings.Contains(got.Message, test.words) {
			t.Errorf("Of(%v) says %q, want %q", test.err, got.Message, test.words)
		}
		if got != Of(test.err) {
			t.Errorf("Of(%v) differs from itself", test.err)
		}
	}
	// A wrong digest is the line's or the source's fault, not the destination's.
	if got := Of(backup.ErrDigest); got.Code != "UNKNOWN" {
		t.Errorf("Of(ErrDigest) = %+v", got)
	}
}

// windowsNotExist is what Windows' ERROR_BAD_NETPATH is in Go: fs.ErrNotExist, and a lost share all the same.
type windowsNotExist struct{ errno uint64 }

func (e windowsNotExist) Error() string        { return fmt.Sprintf("windows code %d", e.errno) }
func (e windowsNotExist) Is(target error) bool { return target == fs.ErrNotExist }

// TestTraps are cases in which Go's own equalities say something wrong.
func TestTraps(t *testing.T) {
	t.Parallel()
	if got := ofErrno("windows", 53); got.class != ClassDestLost || got.topic == topicMissing {
		t.Errorf("ERROR_BAD_NETPATH is %+v: a lost share is not a missing file", got)
	}
	for _, number := range []uint64{112, 39} {
		if got := ofErrno("windows", number); got.class != ClassCapacity {
			t.Errorf("Windows code %d is %+v, which is a full disk", number, got)
		}
	}
	// Numbers that mean other things on the two systems.
	for number, classes := range map[uint64][2]string{
		112: {ClassDestLost, ClassCapacity}, 5: {ClassIntegrity, ClassPermission}, 19: {ClassDestLost, ClassDestConfig}, 2: {ClassDestLost, ClassDestLost},
	} {
		if l, w := ofErrno("linux", number).class, ofErrno("windows", number).class; l != classes[0] || w != classes[1] {
			t.Errorf("%d is %s on Linux and %s on Windows, want %v", number, l, w, classes)
		}
	}
	if got := Of(&dest.UnreachableError{Place: `\\nas\backup`, Cause: windowsNotExist{53}}); got.Class != ClassDestLost {
		t.Errorf("a share that counts as fs.ErrNotExist is %+v", got)
	}
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	full := fmt.Errorf("stage: %w", code(dest.SpaceErrno, 28, errors.New("no space left on device")))
	for _, test := range []struct {
		teller Teller
		begin  string
	}{
		{Teller{}, "The destination is full: free space there"},
		{Teller{Language: English, Place: "/mnt/nas"}, "The destination /mnt/nas is full: free space there"},
		{Teller{Language: Spanish}, "El destino está lleno: libere espacio allí"},
		{Teller{Language: Spanish, Place: "/mnt/nas"}, "El destino /mnt/nas está lleno: libere espacio allí"},
	} {
		got := test.teller.Of(full)
		if !strings.HasPrefix(got.Message, test.begin) || !strings.HasSuffix(got.Message, "(stage: no space left on device (errno 28))") {
			t.Errorf("%+v says %q", test.teller, got.Message)
		}
		if got.Class != ClassCapacity || got.Code != "ENOSPC" {
			t.Errorf("%+v says %+v", test.teller, got)
		}
	}
	if !Language("").Known() || !Spanish.Known() || Language("fr").Known() {
		t.Error("known languages")
	}
}

// TestSentences makes sure that whatever can be said is said in both languages, and that every class has a policy.
func TestSentences(t *testing.T) {
	t.Parallel()
	english, spanish := englishSentences(), spanishSentences()
	maps.Copy(english, s3English())
	maps.Copy(spanish, s3Spanish())
	maps.Copy(english, azureEnglish())
	maps.Copy(spanish, azureSpanish())
	for about, sentence := range english {
		other, ok := spanish[about]
		if !ok {
			t.Errorf("%q has no Spanish sentence", about)
		}
		if other == sentence {
			t.Errorf("%q says the same in both languages", about)
		}
		for _, hole := range []string{"{place}", "{free}", "{reserve}", "{wanted}", "{items}", "{inodes}"} {
			if strings.Contains(sentence, hole) != strings.Contains(other, hole) {
				t.Errorf("%q names %s in one language only", about, hole)
			}
		}
		for _, text := range []string{sentence, other} {
			if strings.Contains(text, "{place}") != strings.Contains(text, " {place}") || len(text) > 500 {
				t.Errorf("%q: %q", about, text)
			}
		}
	}
	if len(english) != len(spanish) {
		t.Errorf("%d English sentences, %d Spanish ones", len(english), len(spanish))
	}
	var rows []row
	for _, r := range linuxRows() {
		rows = append(rows, r)
	}
	for _, r := range windowsRows() {
		rows = append(rows, r)
	}
	for _, table := range []map[int64]row{sftpRows(), sshRows(), rsyncRows()} {
		for _, r := range table {
			rows = append(rows, r)
		}
	}
	for _, r := range driverRows() {
		rows = append(rows, r)
	}
	for _, r := range s3Rows() {
		rows = append(rows, r)
	}
	for _, r := range azureRows() {
		rows = append(rows, r)
	}
	rows = append(rows, row{class: ClassCredential, topic: topicAzureEntra})
	for _, r := range statusRows() {
		rows = append(rows, r)
	}
	for _, f := range found() {
		rows = append(rows, f.row)
	}
	known := make(map[string]bool)
	for _, class := range Classes() {
		known[class] = true
		rows = append(rows, row{class: class})
		if _, ok := policies()[class]; !ok {
			t.Errorf("class %s has no policy", class)
		}
	}
	if len(known) != len(policies()) {
		t.Errorf("%d classes, %d policies", len(known), len(policies()))
	}
	for _, r := range rows {
		if !known[r.class] {
			t.Errorf("%+v is of no known class", r)
		}
		for _, language := range []Language{English, Spanish} {
			if (Teller{Language: language}).sentence(r) == "" {
				t.Errorf("nothing is said of %+v in %s", r, language)
			}
		}
	}
}

// TestMessages are what both sides keep whole, and what a message on the wire can carry.
func TestMessages(t *testing.T) {
	t.Parallel()
	for _, text := range []string{strings.Repeat("é", 600), "x" + strings.Repeat("é", 600), "\xff\xfe", strings.Repeat("日", 400)} {
		for _, place := range []string{"", text} {
			got := Teller{Place: place}.Of(fmt.Errorf("%w: %s", dest.ErrConflict, text)).Message
			if !utf8.ValidString(got) || len(got) > 1024 || len(got) < 20 || !strings.HasSuffix(got, ")") {
				t.Errorf("a message of %d bytes, valid %v: %s", len(got), utf8.ValidString(got), got)
			}
		}
	}
	long := Of(&dest.CodeError{Space: "tool", Name: strings.Repeat("é", 100), Cause: errors.New("odd")})
	if len(long.Code) > 64 || !utf8.ValidString(long.Code) {
		t.Errorf("a code of %d bytes", len(long.Code))
	}
}

func TestNamed(t *testing.T) {
	t.Parallel()
	for _, language := range []Language{English, Spanish} {
		teller := Teller{Language: language}
		seen := make(map[string]bool)
		for f, class := range map[Fault]string{teller.SourceUnreadable(): ClassSource, teller.SourceChanged(): ClassIntegrity, teller.DigestMismatch(): ClassIntegrity} {
			if f.Class != class || f.Party != PartyWolkvox || f.Code == "" || f.Message == "" || seen[f.Code] {
				t.Errorf("%+v", f)
			}
			if f.IsDigestMismatch() != (f == teller.DigestMismatch()) {
				t.Errorf("%+v", f)
			}
			seen[f.Code] = true
		}
	}
}

func TestShortage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		space           dest.Space
		reserve, wanted int64
		items           int
		words           []string
	}{
		{dest.Space{FreeBytes: 30 << 30, FreeInodes: -1}, 20 << 30, 15 << 30, 7, []string{"30 GiB", "20 GiB", "7 of", "15 GiB"}},
		{dest.Space{FreeBytes: 30 << 20, FreeInodes: 5}, 1 << 20, 100 << 20, 7, []string{"30 MiB", "1024 KiB", "100 MiB"}},
		{dest.Space{FreeBytes: 30 << 30, FreeInodes: 5}, 1 << 20, 100 << 20, 7, []string{"5 more files", "inodes", "7 of"}},
	} {
		shortage := NewShortage(test.space, test.reserve, test.wanted, test.items)
		for _, got := range []string{shortage.Error(), Of(fmt.Errorf("fit: %w", shortage)).Message} {
			for _, word := range test.words {
				if !strings.Contains(got, word) {
					t.Errorf("%q does not say %q", got, word)
				}
			}
		}
		if got := (Teller{Language: Spanish}).Of(shortage).Message; !strings.Contains(got, "El destino") || strings.Contains(got, "{") {
			t.Errorf("in Spanish: %q", got)
		}
		if shortage.NeedBytes() != test.reserve+test.wanted {
			t.Errorf("NeedBytes = %d", shortage.NeedBytes())
		}
	}
}

// TestUnreachableCode finds the system's code in what is unreachable, which errors.Is does not look into.
func TestUnreachableCode(t *testing.T) {
	t.Parallel()
	err := &dest.UnreachableError{Place: "/mnt", Cause: &fs.PathError{Op: "open", Path: "/mnt", Err: syscall.EACCES}}
	if got := Of(fmt.Errorf("space: %w", err)); got.Class != ClassPermission || !strings.Contains(got.Message, "at the destination /mnt:") {
		t.Errorf("Of(%v) = %+v", err, got)
	}
}
