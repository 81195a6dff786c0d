package probe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/localdest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
	"github.com/wolkvox/backup/agent/internal/night"
)

// files returns what lies below dir, with the contents.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		found[path] = string(data)
		return err
	}))
	return found
}

func TestWell(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := initialised(t, well(t, localdest.New(dir)))
	must(t, os.WriteFile(filepath.Join(dir, "a.gsm"), []byte("a recording"), 0o600))
	before := files(t, dir)
	p := New(c)
	for range 2 {
		report := run(t, p)
		want{SubjectPlace, backup.CheckGood, []string{"/mnt/nas answers, and takes the agent for the user backup"}}.in(t, report)
		for _, line := range report.Lines {
			if line.Verdict != backup.CheckGood && line.Subject != SubjectQuota {
				t.Errorf("%s is %v: %s", line.Subject, line.Verdict, line.Message)
			}
		}
		for _, subject := range []string{SubjectPlace, SubjectPath, SubjectMarker, SubjectHistory, SubjectSpace, SubjectInodes, SubjectQuota, SubjectWrite, SubjectSync,
			SubjectRename, SubjectReadBack, SubjectDelete, SubjectState, SubjectServer, SubjectCertificate, SubjectClock} {
			if lineOf(report, subject).Message == "" {
				t.Errorf("no line about %s", subject)
			}
		}
	}
	if after := files(t, dir); !maps.Equal(before, after) {
		t.Errorf("the check left %v, before was %v", after, before)
	}
}

// TestSteps has each operation of the driver fail, and done and then reported as failed: the right line is bad, what follows
// is not said to be good, and nothing is left behind.
func TestSteps(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		op      desttest.Op
		subject string
	}{
		{desttest.OpNewStage, SubjectWrite}, {desttest.OpCreate, SubjectWrite}, {desttest.OpWrite, SubjectWrite}, {desttest.OpClose, SubjectWrite},
		{desttest.OpSync, SubjectSync}, {desttest.OpPublish, SubjectRename}, {desttest.OpSyncNames, SubjectRename},
	} {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprint(test.op, applied), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				inner := localdest.New(dir)
				initialised(t, well(t, inner))
				before := files(t, dir)
				var mu sync.Mutex
				met := false
				c := well(t, desttest.WithFaults(inner, func(op desttest.Op, _ string) (bool, error) {
					mu.Lock()
					defer mu.Unlock()
					if op != test.op || met {
						return true, nil
					}
					met = true
					return applied, &os.PathError{Op: "write", Path: "x", Err: syscall.EIO}
				}))
				report := run(t, New(c))
				onlyBad(t, report, test.subject)
				if line := lineOf(report, test.subject); line.Code != "EIO" {
					t.Errorf("%+v", line)
				}
				order := []string{SubjectWrite, SubjectSync, SubjectRename, SubjectReadBack}
				for i, subject := range order {
					wanted := backup.CheckGood
					switch at := slices.Index(order, test.subject); {
					case i == at:
						wanted = backup.CheckBad
					case i > at:
						wanted = backup.CheckUnknown
					}
					want{subject, wanted, nil}.in(t, report)
				}
				if after := files(t, dir); !maps.Equal(before, after) {
					t.Errorf("the check left %v, before was %v", after, before)
				}
			})
		}
	}
}

// TestLies names a place whose file system does not do what it says.
func TestLies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		hook    desttest.Hook
		subject string
		words   string
	}{
		"a write that is not done":  {func(op desttest.Op, _ string) (bool, error) { return op != desttest.OpWrite, nil }, SubjectReadBack, "not what was written"},
		"a rename that is not done": {func(op desttest.Op, _ string) (bool, error) { return op != desttest.OpPublish, nil }, SubjectRename, "where the name is taken"},
		"a removal that is not done": {func(op desttest.Op, name string) (bool, error) {
			return op != desttest.OpRemoveOwn || name != "probe", nil
		}, SubjectDelete, "looking for it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := memdest.New()
			initialised(t, well(t, disk))
			report := run(t, New(well(t, desttest.WithFaults(disk, test.hook))))
			onlyBad(t, report, test.subject)
			want{test.subject, backup.CheckBad, []string{test.words}}.in(t, report)
		})
	}
}

// TestSentences says the right thing of what can be wrong with a place.
func TestSentences(t *testing.T) {
	t.Parallel()
	pathError := func(errno syscall.Errno) error { return &os.PathError{Op: "write", Path: "x", Err: errno} }
	failing := func(wanted desttest.Op, err error) func(t *testing.T, c Config, disk *memdest.Disk) Config {
		return func(t *testing.T, c Config, disk *memdest.Disk) Config {
			return well(t, desttest.WithFaults(disk, func(op desttest.Op, _ string) (bool, error) {
				if op == wanted {
					return false, err
				}
				return true, nil
			}))
		}
	}
	for name, test := range map[string]struct {
		change func(t *testing.T, c Config, disk *memdest.Disk) Config
		want   want
	}{
		"full disk":       {failing(desttest.OpWrite, pathError(syscall.ENOSPC)), want{SubjectWrite, backup.CheckBad, []string{"is full", "free space"}}},
		"read-only share": {failing(desttest.OpNewStage, pathError(syscall.EROFS)), want{SubjectWrite, backup.CheckBad, []string{"read-only"}}},
		"no rights":       {failing(desttest.OpNewStage, pathError(syscall.EACCES)), want{SubjectWrite, backup.CheckBad, []string{"denied"}}},
		"unreadable":      {failing(desttest.OpReadOwn, pathError(syscall.EIO)), want{SubjectMarker, backup.CheckBad, []string{"input/output"}}},
		"unplugged":       {func(_ *testing.T, c Config, disk *memdest.Disk) Config { disk.Unplug(); return c }, want{SubjectPlace, backup.CheckBad, []string{"unplugged"}}},
		"no marker": {func(t *testing.T, _ Config, _ *memdest.Disk) Config { return well(t, memdest.New()) },
			want{SubjectMarker, backup.CheckBad, []string{"mount it", "wolkvox-agent destination init"}}},
		"foreign marker": {func(t *testing.T, c Config, disk *memdest.Disk) Config {
			other := strings.Replace(testOrigin, "/nas/", "/tape/", 1)
			var err error
			c.Store, err = dest.New(disk, "/mnt/nas", other)
			must(t, err)
			return c
		}, want{SubjectMarker, backup.CheckBad, []string{testOrigin, "/tape/"}}},
		"altered marker": {func(t *testing.T, c Config, disk *memdest.Disk) Config {
			driver, err := disk.Open(t.Context())
			must(t, err)
			must(t, driver.(dest.Keeper).WriteOwn(t.Context(), "marker", []byte("hello")))
			return c
		}, want{SubjectMarker, backup.CheckBad, []string{"restore", ".wolkvox/marker"}}},
		"the log before": {func(t *testing.T, c Config, disk *memdest.Disk) Config {
			var err error
			c.Store, err = dest.New(disk, "/mnt/nas", strings.Replace(testOrigin, "/0011", "/1111", 1))
			must(t, err)
			c.Store.Continue(func() string { return testOrigin })
			return c
		}, want{SubjectMarker, backup.CheckGood, []string{"takes it over"}}},
		"back in time": {func(_ *testing.T, c Config, _ *memdest.Disk) Config {
			c.JudgeKept = func(night.Kept) error { return fmt.Errorf("%w: it keeps no agreed head", night.ErrWentBack) }
			return c
		}, want{SubjectHistory, backup.CheckBad, []string{"went back in time", "copies it again", "1 %"}}},
		"ahead of the ledger": {func(_ *testing.T, c Config, _ *memdest.Disk) Config {
			c.JudgeKept = func(night.Kept) error { return night.ErrKeptUnknown }
			return c
		}, want{SubjectHistory, backup.CheckWarning, []string{"compared again"}}},
		"a night runs": {func(_ *testing.T, c Config, _ *memdest.Disk) Config {
			c.JudgeKept = func(night.Kept) error { return night.ErrBusy }
			return c
		}, want{SubjectHistory, backup.CheckUnknown, []string{"not compared now"}}},
		"below the reserve": {func(_ *testing.T, c Config, _ *memdest.Disk) Config {
			c.Reserve = func(dest.Space) int64 { return 2 << 30 }
			c.Pending = func() (int64, int64, error) { return 0, 0, nil }
			return c
		}, want{SubjectSpace, backup.CheckBad, []string{"1024 MiB", "reserve"}}},
		"too much pending": {func(_ *testing.T, c Config, _ *memdest.Disk) Config {
			c.Pending = func() (int64, int64, error) { return 700, 5 << 30, nil }
			return c
		}, want{SubjectSpace, backup.CheckBad, []string{"1024 MiB", "700", "reserve"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := memdest.New()
			c := test.change(t, initialised(t, well(t, disk)), disk)
			report := run(t, New(c))
			test.want.in(t, report)
			if test.want.verdict == backup.CheckBad {
				onlyBad(t, report, test.want.subject)
			}
			if marker := lineOf(report, SubjectMarker); marker.Verdict == backup.CheckBad {
				want{SubjectWrite, backup.CheckUnknown, []string{"not tried", "marker"}}.in(t, report)
			}
			disk.Plug()
			if name == "the log before" { // a check takes nothing over
				must(t, well(t, disk).Store.CheckMarker(t.Context()))
			}
			if driver, err := disk.Open(t.Context()); err == nil {
				if _, err := driver.(dest.Keeper).ReadOwn(t.Context(), "probe"); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the file of the check: %v", err)
				}
			}
		})
	}
}

// TestDrivers says the right thing of what drivers find when they open a place, and tries it once.
func TestDrivers(t *testing.T) {
	t.Parallel()
	own := func(name, text string) error {
		return &dest.CodeError{Space: dest.SpaceDriver, Name: name, Cause: errors.New(text)}
	}
	for name, test := range map[string]struct {
		err     error
		subject string
		words   string
	}{
		"wrong host key":    {own(dest.CodeHostKey, "the server showed SHA256:abc, pinned is SHA256:def"), SubjectHostKey, "SHA256:abc"},
		"wrong password":    {own(dest.CodeAuth, "the server refused the password of user backup"), SubjectAccount, "password"},
		"unreadable secret": {own(dest.CodeSecret, "the file /etc/secret can be read by others"), SubjectAccount, "/etc/secret"},
		"mapped drive":      {own(dest.CodeMappedDrive, `Z: is a mapped drive; configure \\nas\backup`), SubjectPath, `\\nas\backup`},
		"missing rsync":     {own(dest.CodeProgram, "the program rsync is not installed"), SubjectProgram, "rsync"},
		"old rsync":         {own(dest.CodeProgramOld, "rsync 2.6.9 is too old"), SubjectProgram, "2.6.9"},
		"locked account":    {&dest.CodeError{Space: dest.SpaceNTStatus, Number: 0xC0000234, Name: "STATUS_ACCOUNT_LOCKED_OUT", Cause: errX}, SubjectAccount, "locked out"},
		"expired password":  {&dest.CodeError{Space: dest.SpaceNTStatus, Number: 0xC0000071, Name: "STATUS_PASSWORD_EXPIRED", Cause: errX}, SubjectAccount, "has expired"},
		"refused login":     {&dest.CodeError{Space: dest.SpaceNTStatus, Number: 0xC000006D, Name: "STATUS_LOGON_FAILURE", Cause: errX}, SubjectAccount, "password"},
		"no share":          {&dest.CodeError{Space: dest.SpaceNTStatus, Number: 0xC00000CC, Name: "STATUS_BAD_NETWORK_NAME", Cause: errX}, SubjectPlace, "no such share"},
		"silent":            {own(dest.CodeServerSilent, "no answer within 20s"), SubjectPlace, "20s"},
		"unmounted":         {&os.PathError{Op: "open", Path: "/mnt/nas", Err: syscall.ENOENT}, SubjectPath, "it is mounted"},
		"stale":             {&os.PathError{Op: "open", Path: "/mnt/nas", Err: syscall.EIO}, SubjectPlace, "input/output"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opener := &refusing{err: test.err}
			report := run(t, New(well(t, opener)))
			onlyBad(t, report, test.subject)
			want{test.subject, backup.CheckBad, []string{test.words}}.in(t, report)
			if place := lineOf(report, SubjectPlace); place.Verdict == backup.CheckGood {
				t.Errorf("place: %+v", place)
			}
			want{SubjectDelete, backup.CheckUnknown, []string{"not tried"}}.in(t, report)
			if opener.asked != 1 {
				t.Errorf("it was tried %d times", opener.asked)
			}
		})
	}
}

// telling is a place whose driver knows more.
type telling struct {
	inner dest.Opener
	facts []dest.Fact
}

type tellingDriver struct {
	driver
	facts []dest.Fact
}

type driver interface {
	dest.Driver
	dest.Keeper
	dest.Stager
	dest.Spacer
}

func (o telling) Open(ctx context.Context) (dest.Driver, error) {
	d, err := o.inner.Open(ctx)
	if err != nil {
		return nil, err
	}
	return tellingDriver{d.(driver), o.facts}, nil
}

func (d tellingDriver) Facts(context.Context) []dest.Fact { return d.facts }

func TestFacts(t *testing.T) {
	t.Parallel()
	c := initialised(t, well(t, telling{memdest.New(), []dest.Fact{
		{Subject: dest.SubjectPlace, Text: "it takes the agent for ACME\\backup"},
		{Subject: dest.SubjectPlace, Text: "SMB 3.1.1"},
		{Subject: dest.SubjectProgram, Text: "rsync 3.2.7 is older than 3.5.0: update it", Warning: true},
		{Subject: dest.SubjectHostKey, Text: "ssh-ed25519 SHA256:abc"},
		{Subject: dest.SubjectSync, Text: "the server offers fsync"},
		{Subject: dest.SubjectQuota, Text: "10 GiB of 1 TiB are left"},
		{Subject: dest.SubjectChecksum, Text: "the service took a wrong MD5, so everything is read back", Warning: true},
	}}))
	c.Login = true
	report := run(t, New(c))
	for _, w := range []want{
		{SubjectPlace, backup.CheckGood, []string{"answers; it takes the agent for ACME\\backup; SMB 3.1.1"}},
		{SubjectProgram, backup.CheckWarning, []string{"update it"}},
		{SubjectHostKey, backup.CheckGood, []string{"SHA256:abc"}},
		{SubjectSync, backup.CheckGood, []string{"durable; the server offers fsync"}},
		{SubjectQuota, backup.CheckGood, []string{"10 GiB"}},
		{SubjectChecksum, backup.CheckWarning, []string{"took a wrong MD5"}},
		{SubjectAccount, backup.CheckGood, nil},
	} {
		w.in(t, report)
	}
	if report.Worst != backup.CheckWarning {
		t.Errorf("the report is %v", report.Worst)
	}
}

// TestHangs ends although the place does not answer, says so, does not try again while it does not, and cleans up when it does.
func TestHangs(t *testing.T) {
	t.Parallel()
	for op, subject := range map[desttest.Op]string{desttest.OpReadOwn: SubjectMarker, desttest.OpSync: SubjectSync, desttest.OpWrite: SubjectWrite} {
		synctest.Test(t, func(t *testing.T) {
			disk := memdest.New()
			initialised(t, well(t, disk))
			hanging := make(chan struct{}) // closed when it answers again
			c := well(t, desttest.WithFaults(disk, func(met desttest.Op, _ string) (bool, error) {
				if met == op {
					<-hanging
				}
				return true, nil
			}))
			p := New(c)
			began := time.Now()
			report := run(t, p)
			if took := time.Since(began); took > c.Patience+2*comeBack {
				t.Errorf("%s: it took %v", op, took)
			}
			onlyBad(t, report, subject)
			want{subject, backup.CheckBad, []string{"has not answered for 10s"}}.in(t, report)
			report = run(t, p)
			onlyBad(t, report, SubjectPlace)
			want{SubjectPlace, backup.CheckBad, []string{"since an earlier check"}}.in(t, report)
			close(hanging)
			synctest.Wait()
			if report = run(t, p); report.Worst != backup.CheckUnknown {
				t.Errorf("%s: once it answers: %+v", op, report)
			}
			if driver, err := disk.Open(t.Context()); err != nil {
				t.Error(err)
			} else if _, err := driver.(dest.Keeper).ReadOwn(t.Context(), "probe"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the file of the check: %v", err)
			}
		})
	}
}

// TestCalledOff ends with its context.
func TestCalledOff(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errX)
	p := New(initialised(t, well(t, memdest.New())))
	if _, err := p.Run(ctx, func(backup.CheckLine) {}); !errors.Is(err, errX) {
		t.Errorf("Run = %v", err)
	}
	if _, ok := p.Last(); ok {
		t.Error("a check that was called off counts")
	}
}
