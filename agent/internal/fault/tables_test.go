package fault

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// meaning is what a table's codes must mean.
type meaning struct {
	class, party string
	numbers      []uint64
}

func (m meaning) check(t *testing.T, what string, number uint64, got row) {
	t.Helper()
	if got.class != m.class || got.partyOrDefault() != m.party || got.code == "" {
		t.Errorf("%s %d is %q of class %s, party %s; want %s, %s", what, number, got.code, got.class, got.partyOrDefault(), m.class, m.party)
	}
}

// linux is every errno that a destination can meet, with numbers of Linux on amd64.
func linux() []meaning {
	return []meaning{
		{"capacity", "client", []uint64{28 /* ENOSPC */, 27 /* EFBIG */}},
		{"quota", "client", []uint64{122 /* EDQUOT */}},
		{"dest-config", "client", []uint64{30 /* EROFS */, 38 /* ENOSYS */, 95 /* EOPNOTSUPP */, 40 /* ELOOP */}},
		{"integrity", "client", []uint64{5 /* EIO */, 117 /* EUCLEAN */, 74 /* EBADMSG */, 17 /* EEXIST */, 21 /* EISDIR */}},
		{"dest-lost", "client", []uint64{
			116 /* ESTALE */, 107 /* ENOTCONN */, 112 /* EHOSTDOWN */, 19 /* ENODEV */, 6 /* ENXIO */, 121 /* EREMOTEIO */, 123 /* ENOMEDIUM */, 2 /* ENOENT */, 20, /* ENOTDIR */
		}},
		{"dest-lost", "network", []uint64{113 /* EHOSTUNREACH */, 101 /* ENETUNREACH */, 100 /* ENETDOWN */, 102 /* ENETRESET */}},
		{"network", "network", []uint64{104 /* ECONNRESET */, 111 /* ECONNREFUSED */, 103 /* ECONNABORTED */, 110 /* ETIMEDOUT */, 32 /* EPIPE */}},
		{"permission", "client", []uint64{13 /* EACCES */, 1 /* EPERM */}},
		{"credential", "client", []uint64{126 /* ENOKEY */, 127 /* EKEYEXPIRED */, 128 /* EKEYREVOKED */, 129 /* EKEYREJECTED */}},
		{"name", "wolkvox", []uint64{36 /* ENAMETOOLONG */, 84 /* EILSEQ */, 22 /* EINVAL */}},
		{"transient", "client", []uint64{16 /* EBUSY */, 26 /* ETXTBSY */, 11 /* EAGAIN */, 4 /* EINTR */, 39 /* ENOTEMPTY */}},
		{"local", "client", []uint64{24 /* EMFILE */, 23 /* ENFILE */, 12 /* ENOMEM */, 105 /* ENOBUFS */}},
		{"client-bug", "wolkvox", []uint64{18 /* EXDEV */}},
	}
}

// windows is every system error code that a destination can meet.
func windows() []meaning {
	return []meaning{
		{"capacity", "client", []uint64{112, 39, 314, 223}},
		{"quota", "client", []uint64{1295, 1816}},
		{"dest-lost", "client", []uint64{64, 53, 67, 55, 51, 2250, 1167, 1201, 21, 1006, 2, 3, 15, 10064}},
		{"dest-lost", "network", []uint64{57, 1222, 1231, 1232, 10050, 10051, 10065}},
		{"network", "network", []uint64{59, 58, 121, 240, 1236, 1226, 1225, 10053, 10054, 10060, 10061}},
		{"throttle", "client", []uint64{54, 69, 71, 1130}},
		{"transient", "client", []uint64{70, 1237, 1460, 32, 33, 148, 145, 303, 6}},
		{"permission", "client", []uint64{65, 5, 1314, 1385}},
		{"credential", "client", []uint64{1326, 1327, 1328, 1330, 1331, 1793, 1909, 1311, 1312, 1789, 1272, 86, 1317, 1329, 1907}},
		{"clock", "client", []uint64{1398}},
		{"dest-config", "client", []uint64{1219, 85, 66, 19, 50, 1}},
		{"integrity", "client", []uint64{225, 226, 31, 23, 1117, 1392, 1393, 80, 183}},
		{"name", "wolkvox", []uint64{123, 161, 206, 267, 111, 154}},
		{"local", "client", []uint64{1450, 1451, 8, 14, 4, 10055}},
		{"client-bug", "wolkvox", []uint64{17, 87}},
	}
}

func TestErrno(t *testing.T) {
	t.Parallel()
	for goos, meanings := range map[string][]meaning{"linux": linux(), "windows": windows()} {
		listed := 0
		for _, m := range meanings {
			for _, number := range m.numbers {
				m.check(t, goos, number, ofErrno(goos, number))
				listed++
			}
		}
		rows := linuxRows()
		if goos == "windows" {
			rows = windowsRows()
		}
		if listed != len(rows) {
			t.Errorf("%s: %d codes are listed here, %d in the table", goos, listed, len(rows))
		}
	}
	for _, m := range linux() {
		for _, number := range m.numbers { // as another program reports them, on any system
			got := Of(fmt.Errorf("copy: %w", &dest.CodeError{Space: dest.SpaceErrno, Number: int64(number), Cause: errors.New("remote")}))
			if got.Class != m.class || got.Party != m.party {
				t.Errorf("a remote errno %d is %+v", number, got)
			}
		}
	}
	if got := ofErrno("linux", 9999); got.class != ClassOther || got.code != "ERRNO 9999" {
		t.Errorf("an unknown errno is %+v", got)
	}
	if got := ofErrno("windows", 5999); got.class != ClassOther || got.code != "WINDOWS 5999" {
		t.Errorf("an unknown Windows code is %+v", got)
	}
}

// TestNative takes the codes as this system has them.
func TestNative(t *testing.T) {
	t.Parallel()
	for errno, class := range map[syscall.Errno]string{
		syscall.ENOSPC: ClassCapacity, syscall.EDQUOT: ClassQuota, syscall.EROFS: ClassDestConfig, syscall.EIO: ClassIntegrity,
		syscall.ESTALE: ClassDestLost, syscall.ENOENT: ClassDestLost, syscall.EINVAL: ClassName, syscall.EACCES: ClassPermission,
	} {
		if got := Of(&fs.PathError{Op: "write", Path: "a.gsm", Err: errno}); got.Class != class {
			t.Errorf("%v is %+v, want %s", errno, got, class)
		}
	}
}

func TestNTStatus(t *testing.T) {
	t.Parallel()
	listed := 0
	for _, m := range []meaning{
		{"capacity", "client", []uint64{0xC000007F, 0xC0000904}},
		{"quota", "client", []uint64{0xC0000044, 0xC0000802}},
		{"permission", "client", []uint64{0xC0000022, 0xC00000CA, 0xC0000061, 0xC000015B, 0xC0000121}},
		{"credential", "client", []uint64{
			0xC000006D, 0xC000006A, 0xC0000064, 0xC000006E, 0xC000006F, 0xC0000070, 0xC0000071, 0xC0000224, 0xC0000072, 0xC0000193, 0xC0000234, 0xC000005E, 0xC000005F, 0xC000018D,
		}},
		{"clock", "client", []uint64{0xC0000133}},
		{"dest-lost", "client", []uint64{
			0xC00000C9, 0xC0000203, 0xC000035C, 0xC00000BE, 0xC00000CC, 0xC00000C0, 0xC00000BC, 0xC000009D, 0xC00000A3, 0xC0000098, 0xC0000034, 0xC000000F, 0xC000003A,
		}},
		{"dest-lost", "network", []uint64{0xC00000C2, 0xC000023C, 0xC000023D}},
		{"network", "network", []uint64{0xC00000C4, 0xC00000C3, 0xC00000B5, 0xC00000D6, 0xC000020C, 0xC000020D, 0xC0000241, 0xC0000237, 0xC0000236}},
		{"throttle", "client", []uint64{0xC00000BF, 0xC00000CE, 0xC00000D0, 0xC0000205, 0xC000009A}},
		{"transient", "client", []uint64{0xC00000CF, 0xC000022D, 0x102, 0xC0000043, 0xC0000054, 0xC0000055, 0xC0000101, 0xC0000056, 0xC0000008, 0xC0000128}},
		{"dest-config", "client", []uint64{0xC0000195, 0xC00000A2, 0xC00000BB, 0xC0000002, 0xC0000010}},
		{"integrity", "client", []uint64{0xC0000906, 0xC0000907, 0xC0000001, 0xC000003E, 0xC000003F, 0xC0000185, 0xC0000102, 0xC0000032, 0xC0000035, 0xC00000BA}},
		{"name", "wolkvox", []uint64{0xC0000033, 0xC000003B, 0xC0000106, 0xC0000103}},
		{"client-bug", "wolkvox", []uint64{0xC000000D, 0xC00000D4}},
	} {
		for _, number := range m.numbers {
			got, known := ofNTStatus(uint32(number))
			if !known {
				t.Errorf("NTSTATUS %#x is not known", number)
			}
			m.check(t, "NTSTATUS", number, got)
			if got.code == windowsRows()[ntstatuses()[uint32(number)].windows].code {
				t.Errorf("NTSTATUS %#x is told as %s", number, got.code)
			}
			listed++
		}
	}
	if all := ntstatuses(); listed != len(all) {
		t.Errorf("%d statuses are listed here, %d in the table", listed, len(all))
	}
	for number, status := range ntstatuses() {
		if _, known := windowsRows()[status.windows]; !known {
			t.Errorf("%s (%#x) means the Windows code %d, which is not in the table", status.name, number, status.windows)
		}
	}
}

func TestPeers(t *testing.T) {
	t.Parallel()
	for space, peer := range map[dest.CodeSpace]struct {
		rows     map[int64]row
		meanings []meaning
	}{
		dest.SpaceSFTP: {sftpRows(), []meaning{
			{"other", "client", []uint64{0, 1, 4}},
			{"dest-lost", "client", []uint64{2, 10, 13, 19}},
			{"permission", "client", []uint64{3, 16, 22, 29, 30}},
			{"name", "wolkvox", []uint64{5, 20}},
			{"network", "network", []uint64{6, 7}},
			{"dest-config", "client", []uint64{8, 12, 21}},
			{"transient", "client", []uint64{9, 17, 18, 25, 26, 27}},
			{"integrity", "client", []uint64{11, 24, 28}},
			{"capacity", "client", []uint64{14}},
			{"quota", "client", []uint64{15}},
			{"client-bug", "wolkvox", []uint64{23, 31}},
		}},
		dest.SpaceSSH: {sshRows(), []meaning{
			{"permission", "client", []uint64{1}},
			{"network", "network", []uint64{2, 5, 6, 10}},
			{"dest-config", "client", []uint64{3, 7, 8, 9}},
			{"transient", "client", []uint64{11}},
			{"throttle", "client", []uint64{12}},
			{"credential", "client", []uint64{13, 14, 15}},
		}},
		dest.SpaceRsync: {rsyncRows(), []meaning{
			{"other", "client", []uint64{0, 23}},
			{"client-bug", "wolkvox", []uint64{1, 25}},
			{"dest-config", "client", []uint64{2, 3, 4, 124, 126, 127}},
			{"credential", "client", []uint64{5}},
			{"network", "network", []uint64{10, 12, 30, 255}},
			{"capacity", "client", []uint64{11}},
			{"local", "client", []uint64{13, 14, 21, 22}},
			{"transient", "client", []uint64{15, 16, 19, 20, 24, 125}},
			{"dest-lost", "client", []uint64{35}},
		}},
	} {
		listed := 0
		for _, m := range peer.meanings {
			for _, number := range m.numbers {
				got := Of(fmt.Errorf("copy: %w", &dest.CodeError{Space: space, Number: int64(number), Cause: errors.New("remote")}))
				if got.Class != m.class || got.Party != m.party || got.Code != peer.rows[int64(number)].code {
					t.Errorf("%s %d is %+v, want %s, %s", space, number, got, m.class, m.party)
				}
				listed++
			}
		}
		if listed != len(peer.rows) {
			t.Errorf("%s: %d codes are listed here, %d in the table", space, listed, len(peer.rows))
		}
		unknown := Of(&dest.CodeError{Space: space, Number: 77, Cause: errors.New("remote")})
		if unknown.Class != ClassOther || unknown.Code != fmt.Sprintf("%s 77", space) {
			t.Errorf("an unknown code of %s is %+v", space, unknown)
		}
	}
}

func TestDrivers(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		dest.CodeHostKey: "dest-config", dest.CodeAuth: "credential", dest.CodeSecret: "credential", dest.CodeMappedDrive: "dest-config",
		dest.CodeProgram: "dest-config", dest.CodeProgramOld: "dest-config", dest.CodeUnsupported: "dest-config", dest.CodeLink: "dest-config",
		dest.CodeSpoolFull: "local", dest.CodeServerSilent: "network", dest.CodeWriteRefused: "dest-config", dest.CodeReadRefused: "dest-config",
		dest.CodeWrongProtocol: "dest-config", dest.CodeImmutable: "immutable", dest.CodeNotFound: "dest-config", dest.CodeNoFolder: "dest-lost",
		dest.CodeClock: "clock", dest.CodeAccountReadOnly: "billing",
	}
	for name, class := range want {
		// What a driver found says more than what it found it by.
		got := Of(&dest.UnreachableError{Place: "nas", Cause: &dest.CodeError{Space: dest.SpaceDriver, Name: name, Cause: errors.New("because")}})
		if got.Class != class || got.Code != name || got.Party != PartyClient && class != ClassNetwork {
			t.Errorf("%s is %+v, want %s", name, got, class)
		}
	}
	if len(want) != len(driverRows()) {
		t.Errorf("%d names are listed here, %d in the table", len(want), len(driverRows()))
	}
}

// TestDriversListed: every name that package dest has for what a driver finds is in the table.
func TestDriversListed(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../dest/code.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if names[name] = true; driverRows()[name].class == "" {
			t.Errorf("dest.%s (%s) has no row", spec.Names[0].Name, name)
		}
		return true
	})
	if len(names) != len(driverRows()) {
		t.Errorf("package dest has %d names, the table %d", len(names), len(driverRows()))
	}
}
