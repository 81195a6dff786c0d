package join

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup/internal/ledger"
)

const origin = ledger.Origin("wolkvox.com/backup/acme/nas/0123456789abcdef0123456789abcdef")

func sample() Join {
	j := Join{Server: "backup.wolkvox.com:443", Origin: origin, ExpireTime: time.Unix(1_800_000_000, 0).UTC()}
	for i := range j.Pin {
		j.Pin[i], j.Secret[i] = byte(i), byte(200-i)
	}
	return j
}

func format(t testing.TB, j Join) string {
	t.Helper()
	s, err := j.Format()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFormatAndParseAreInverse(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"backup.wolkvox.com:443", "127.0.0.1:1", "[::1]:65535"} {
		j := sample()
		j.Server = server
		got, err := Parse(format(t, j))
		if err != nil {
			t.Fatalf("Parse with server %q: %v", server, err)
		}
		if diff := cmp.Diff(j, got); diff != "" {
			t.Errorf("Parse(Format) with server %q (-want +got):\n%s", server, diff)
		}
	}
}

// The form is in the hands of people, so it cannot change.
func TestGolden(t *testing.T) {
	t.Parallel()
	const want = "wvx1.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh_Ix8bFxMPCwcC_vr28u7q5uLe2tbSzsrGwr66trKuqqQAAAABrSdIAFmJhY2t1cC53b2xrdm94LmNvbTo0NDN3b2xrdm94LmNvbS9iYWNrdXAvYWNtZS9uYXMvMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWaU89C4"
	if got := format(t, sample()); got != want {
		t.Errorf("Format = %s, want %s", got, want)
	}
}

func TestEveryTypingErrorIsTold(t *testing.T) {
	t.Parallel()
	s := format(t, sample())
	check := func(what, changed string) {
		if _, err := Parse(changed); !errors.Is(err, ErrMistyped) {
			t.Errorf("%s: Parse = %v, want ErrMistyped", what, err)
		}
	}
	for i := range s {
		for _, c := range "Aa0_-=. \n" {
			if byte(c) != s[i] {
				check(fmt.Sprintf("character %d is %q", i, c), s[:i]+string(c)+s[i+1:])
			}
		}
		check(fmt.Sprintf("character %d is lost", i), s[:i]+s[i+1:])
		check(fmt.Sprintf("cut at %d", i), s[:i])
		if i > 0 && s[i] != s[i-1] {
			check(fmt.Sprintf("characters %d and %d are swapped", i-1, i), s[:i-1]+s[i:i+1]+s[i-1:i]+s[i+1:])
		}
	}
	check("more follows", s+"A")
	check("space before", " "+s)
	check("upper case", strings.ToUpper(s))
	check("too long", prefix+strings.Repeat("A", 1<<20))
}

func TestFormatRefuses(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*Join){
		"no server":       func(j *Join) { j.Server = "" },
		"no port":         func(j *Join) { j.Server = "backup.wolkvox.com" },
		"port 0":          func(j *Join) { j.Server = "backup.wolkvox.com:0" },
		"port 65536":      func(j *Join) { j.Server = "backup.wolkvox.com:65536" },
		"port by name":    func(j *Join) { j.Server = "backup.wolkvox.com:https" },
		"port with zeros": func(j *Join) { j.Server = "backup.wolkvox.com:0443" },
		"no host":         func(j *Join) { j.Server = ":443" },
		"a URL":           func(j *Join) { j.Server = "https://backup.wolkvox.com:443" },
		"a space":         func(j *Join) { j.Server = "backup wolkvox.com:443" },
		"long":            func(j *Join) { j.Server = strings.Repeat("a", 252) + ":443" },
		"no origin":       func(j *Join) { j.Origin = "" },
		"half a second":   func(j *Join) { j.ExpireTime = j.ExpireTime.Add(time.Second / 2) },
		"before 1970":     func(j *Join) { j.ExpireTime = time.Unix(-1, 0) },
	} {
		j := sample()
		change(&j)
		if s, err := j.Format(); err == nil {
			t.Errorf("%s: Format = %q, want an error", what, s)
		}
	}
}

func TestSecretIsNotShown(t *testing.T) {
	t.Parallel()
	j := sample()
	bare := fmt.Sprintf("%d", [32]byte(j.Secret))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		got := fmt.Sprintf(verb, j)
		if strings.Contains(got, strings.Trim(bare, "[]")) || !strings.Contains(got, "(secret)") {
			t.Errorf("Sprintf(%q) = %s", verb, got)
		}
	}
	if one, two := NewSecret(), NewSecret(); one == two || one == (Secret{}) {
		t.Error("two secrets are equal")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(format(f, sample()))
	f.Add("wvx1.")
	f.Add("wvx1.AAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		j, err := Parse(s)
		if err != nil {
			return
		}
		if again := format(t, j); again != s {
			t.Errorf("Format(Parse(%q)) = %q", s, again)
		}
	})
}

// FuzzBody gets past the checksum.
func FuzzBody(f *testing.F) {
	f.Add("backup.wolkvox.com:443", string(origin), int64(1_800_000_000))
	f.Fuzz(func(t *testing.T, server, origin string, seconds int64) {
		j := sample()
		j.Server, j.Origin, j.ExpireTime = server, ledger.Origin(origin), time.Unix(seconds, 0).UTC()
		s, err := j.Format()
		if err != nil {
			return
		}
		if got, err := Parse(s); err != nil || got != j {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", s, got, err, j)
		}
	})
}
