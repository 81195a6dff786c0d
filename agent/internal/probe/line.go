package probe

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"syscall"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/fault"
)

// check is one check under way. It belongs to one goroutine.
type check struct {
	probe   *Probe
	show    func(backup.CheckLine)
	lines   []backup.CheckLine
	facts   []dest.Fact
	space   dest.Space // as far as known
	known   bool       // space is
	pending int64      // recordings that wait, as far as known

	mute      bool          // a step was not answered in time
	silentOn  string        // the subject of that step
	abandoned chan struct{} // closed when the step that hangs has come back; nil where none hangs
}

func (c *check) add(line backup.CheckLine) {
	line.Message = strings.ToValidUTF8(line.Message, "?")
	c.lines = append(c.lines, line)
	c.show(line)
}

// good adds a line about something that is as it should be, with what the driver knows of it: a warning of its makes it one.
func (c *check) good(subject, format string, values ...any) {
	line := backup.CheckLine{Subject: subject, Verdict: backup.CheckGood, Message: c.say(format, values...)}
	c.withFacts(&line)
	c.add(line)
}

// told adds a line of what the driver knows of a subject, if it knows anything, and reports whether it does.
func (c *check) told(subject string) bool {
	line := backup.CheckLine{Subject: subject, Verdict: backup.CheckGood}
	c.withFacts(&line)
	if line.Message == "" {
		return false
	}
	c.add(line)
	return true
}

func (c *check) withFacts(line *backup.CheckLine) {
	for _, fact := range c.facts {
		if fact.Subject != line.Subject {
			continue
		}
		if line.Message != "" {
			line.Message += "; "
		}
		line.Message += fact.Text
		if fact.Warning {
			line.Verdict = backup.CheckWarning
		}
	}
}

func (c *check) unknown(subject, format string, values ...any) {
	c.add(backup.CheckLine{Subject: subject, Verdict: backup.CheckUnknown, Message: c.say(format, values...)})
}

// notTried adds lines about what could not be looked at, because of what the line cause says.
func (c *check) notTried(cause string, subjects ...string) {
	for _, subject := range subjects {
		if subject != cause {
			c.unknown(subject, "not tried, because of what is said of %s", cause)
		}
	}
}

// bad adds a line about an error, in the words of package fault.
func (c *check) bad(subject string, err error) { c.fault(subject, c.probe.Faults.Of(err)) }

func (c *check) fault(subject string, f fault.Fault) {
	if c.mute && c.silentOn == "" {
		c.silentOn = subject
	}
	c.add(backup.CheckLine{Subject: subject, Verdict: backup.CheckBad, Message: f.Message, Class: f.Class, Party: f.Party, Code: f.Code})
}

// subjectOf returns what an error of opening a place is about.
func subjectOf(err error, mounted bool) string {
	f := fault.Of(err)
	switch f.Code {
	case dest.CodeHostKey:
		return SubjectHostKey
	case dest.CodeAuth, dest.CodeSecret:
		return SubjectAccount
	case dest.CodeMappedDrive:
		return SubjectPath
	case dest.CodeProgram, dest.CodeProgramOld:
		return SubjectProgram
	}
	if f.Class == fault.ClassCredential {
		return SubjectAccount
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok && mounted && isMissing(errno) {
		return SubjectPath
	}
	return SubjectPlace
}

// isMissing reports whether a system error says that a path does not exist: ENOENT, and ERROR_FILE_NOT_FOUND and
// ERROR_PATH_NOT_FOUND of Windows. fs.ErrNotExist is not asked, because it is also said of a share that cannot be reached
// (ERROR_BAD_NETPATH).
func isMissing(errno syscall.Errno) bool {
	return errno == 2 || errno == 3 && runtime.GOOS == "windows"
}

func sizeText(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", max(n, 0)>>10)
}
