package rsyncdest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// Exit statuses of rsync (errcode.h), of a shell, and of ssh.
const (
	statusSelection = 3 // the folder itself cannot be entered
	statusStart     = 5 // the daemon refuses
	statusSocket    = 10
	statusStream    = 12
	statusPartial   = 23
	statusVanished  = 24
	statusSilent    = 30
	statusNoConnect = 35
	statusKilled    = 125 // by a signal
	statusCannotRun = 126
	statusNoProgram = 127
	statusSSH       = 255
)

// failure is how one process ended that did not end well. It becomes an error of the contract by explain.
type failure struct {
	place    string
	folder   string // of the place at the server, as configured, without slashes around
	pulls    bool
	status   int
	messages []string
}

// add keeps a line of what the process said. Passwords and keys are in none: rsync and ssh do not show them.
func (f *failure) add(line string) {
	if line = strings.TrimSpace(line); line != "" && len(f.messages) < maxMessages {
		f.messages = append(f.messages, strings.TrimPrefix(line, "rsync: "))
	}
}

// partial reports that rsync did what it could, and its messages say what it could not.
func (f *failure) partial() bool { return f.status == statusPartial || f.status == statusVanished }

// Error is the message that says most, and the status.
func (f *failure) Error() string { return fmt.Sprintf("%s (status %d)", cut(f.reason()), f.status) }

// reason returns the message that says most: one that is known, or that has an errno other than that of a lost connection, which
// is often but the end of something else.
func (f *failure) reason() string {
	best := "rsync ended without a word"
	for i, message := range f.messages {
		no := errnoOf(message)
		if _, ok := known(message); ok || no != 0 && !breaks(no) {
			return message
		}
		if i == 0 || no != 0 {
			best = message
		}
	}
	return best
}

// cut bounds what of a message stands in an error.
func cut(message string) string {
	const maxBytes = 300
	if len(message) > maxBytes {
		message = message[:maxBytes] + "..."
	}
	return strings.ToValidUTF8(message, "?")
}

// explain gives the failure the form of the contract: the exit status around what the message tells, and
// dest.UnreachableError around that where the place was not reached.
func (f *failure) explain() error { return f.explainBy(f.reason()) }

// explainBy is explain by one of the messages.
func (f *failure) explainBy(message string) error {
	var inner error = errors.New(cut(message))
	symbol, isKnown := known(message)
	no := errnoOf(message)
	switch {
	case f.pulls && local.MatchString(message) && (no == 28 || no == 122):
		return spoolFull(inner)
	case strings.Contains(message, "didn't get server startup line"): // the connection ended while the daemon was greeted
		inner = fmt.Errorf("%w: %w", inner, io.ErrUnexpectedEOF)
	case isKnown: // and says all
	case f.status == statusCannotRun, f.status == statusNoProgram:
		inner = &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeProgram, Cause: inner}
	case f.status == statusSilent, f.status == statusNoConnect:
		inner = &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeServerSilent, Cause: inner}
	case no != 0:
		inner = &dest.CodeError{Space: dest.SpaceErrno, Number: int64(no), Name: errnoNames[no], Cause: inner}
	}
	coded := &dest.CodeError{Space: dest.SpaceRsync, Number: int64(f.status), Cause: inner}
	if isKnown { // it says more than the status
		coded = &dest.CodeError{Space: dest.SpaceDriver, Name: symbol, Cause: coded}
	}
	switch f.status {
	case statusSelection, statusStart, statusSilent, statusNoConnect, statusSSH:
		return &dest.UnreachableError{Place: f.place, Cause: coded}
	case statusSocket, statusStream:
		if no == 0 || breaks(no) { // otherwise the other side ended for a reason of its own
			return &dest.UnreachableError{Place: f.place, Cause: coded}
		}
	}
	return coded
}

// about returns the error that the messages tell of one name, or of a folder on the way to it, and nil where they tell none.
func (f *failure) about(name string) error {
	for _, message := range f.messages {
		m := quoted.FindStringSubmatch(message)
		if m == nil || !f.isOf(unescape(m[1]), name) {
			continue
		}
		if conflicts(errnoOf(message)) {
			return fmt.Errorf("%w: %s", dest.ErrConflict, cut(message))
		}
		return f.explainBy(message)
	}
	return nil
}

// isOf reports whether a path that rsync shows is that of a name, of its temporary file, or of a folder on the way. rsync shows
// paths relative to the module, or absolute.
func (f *failure) isOf(shown, name string) bool {
	shown = strings.Trim(shown, "/")
	if _, below, ok := strings.Cut("/"+shown, "/"+f.folder+"/"); ok && f.folder != "" {
		shown = below
	}
	return shown == name || strings.HasPrefix(name, shown+"/") || strings.HasPrefix(path.Base(shown), "."+path.Base(name)+".")
}

// quoted finds the path of a message.
var quoted = regexp.MustCompile(`"(.+)"`)

// local finds the messages of the side that writes here, where files are pulled.
var local = regexp.MustCompile(`^\[(receiver|generator|Receiver)\]`)

// refuses reports that the failure is that one side does not know or allow an option.
func (f *failure) refuses(option string) bool {
	for _, message := range f.messages {
		symbol, ok := known(message)
		if ok && symbol == dest.CodeUnsupported && strings.Contains(message, option) {
			return true
		}
	}
	return false
}

// sentences are what rsync, its daemon and ssh say where no errno tells, and the driver's code for each. rsync gives them no
// other form than their words (clientserver.c, main.c, compat.c, options.c; OpenSSH's sshconnect.c).
var sentences = []struct{ text, code string }{
	{"@ERROR: auth failed", dest.CodeAuth},
	{"@ERROR: Unknown module", dest.CodeNotFound},
	{"@ERROR: chdir failed", dest.CodeNoFolder},
	{"@ERROR: chroot failed", dest.CodeNoFolder},
	{"@ERROR: access denied", dest.CodeReadRefused},
	{"module is read only", dest.CodeWriteRefused},
	{"module is write only", dest.CodeReadRefused},
	{"configured to refuse", dest.CodeUnsupported},
	{"unknown option", dest.CodeUnsupported},
	{"unknown checksum name", dest.CodeUnsupported},
	{"Host key verification failed", dest.CodeHostKey},
	{"no matching host key type", dest.CodeHostKey},
	{"REMOTE HOST IDENTIFICATION HAS CHANGED", dest.CodeHostKey},
	{"Permission denied (", dest.CodeAuth}, // of ssh, with the methods that the server would take
	{"Too many authentication failures", dest.CodeAuth},
	{"Load key ", dest.CodeSecret},
	{"command not found", dest.CodeProgram},
	{"is your shell clean", dest.CodeWrongProtocol},
	{"did not see server greeting", dest.CodeWrongProtocol},
}

// known returns the driver's code for a message that is one of the sentences.
func known(message string) (code string, ok bool) {
	if no := errnoOf(message); no != 0 {
		entering := strings.Contains(message, "change_dir") || strings.Contains(message, "mkdir ") && strings.Contains(message, `/.wolkvox"`)
		return dest.CodeNoFolder, no == 2 && entering
	}
	for _, s := range sentences {
		if strings.Contains(message, s.text) {
			return s.code, true
		}
	}
	return "", false
}

// errnoNames are the symbols of the Linux errno values that a peer may report.
var errnoNames = map[int]string{
	1: "EPERM", 2: "ENOENT", 5: "EIO", 11: "EAGAIN", 12: "ENOMEM", 13: "EACCES", 16: "EBUSY", 17: "EEXIST", 18: "EXDEV", 20: "ENOTDIR",
	21: "EISDIR", 22: "EINVAL", 23: "ENFILE", 24: "EMFILE", 26: "ETXTBSY", 27: "EFBIG", 28: "ENOSPC", 30: "EROFS", 31: "EMLINK", 32: "EPIPE",
	36: "ENAMETOOLONG", 39: "ENOTEMPTY", 40: "ELOOP", 84: "EILSEQ", 95: "EOPNOTSUPP", 101: "ENETUNREACH", 103: "ECONNABORTED",
	104: "ECONNRESET", 107: "ENOTCONN", 110: "ETIMEDOUT", 111: "ECONNREFUSED", 112: "EHOSTDOWN", 113: "EHOSTUNREACH", 116: "ESTALE", 122: "EDQUOT",
}

// errnoWords are the texts of values that other systems number differently; a NAS may run one of them.
var errnoWords = map[string]int{
	"Disk quota exceeded": 122, "Disc quota exceeded": 122, "Connection reset by peer": 104, "Connection refused": 111, "Operation timed out": 110,
	"Connection timed out": 110, "No route to host": 113, "Host is down": 112, "Network is unreachable": 101, "Directory not empty": 39, "File name too long": 36,
	"Too many levels of symbolic links": 40, "Stale NFS file handle": 116, "Stale file handle": 116, "Illegal byte sequence": 84, "Broken pipe": 32,
}

// messageErrno finds the errno at the end of a message, as rsync's rsyserr prints it: its text and its number.
var messageErrno = regexp.MustCompile(`: ([^:()]+) \((\d{1,4})\)$`)

// errnoOf returns the errno that a message ends with, numbered as on Linux, and 0 where it has none. ssh prints the text
// alone.
func errnoOf(message string) int {
	m := messageErrno.FindStringSubmatch(message)
	if m == nil {
		if i := strings.LastIndex(message, ": "); i >= 0 && strings.HasPrefix(message, "ssh: ") {
			return errnoWords[message[i+2:]]
		}
		return 0
	}
	if no, ok := errnoWords[m[1]]; ok {
		return no
	}
	no, err := strconv.Atoi(m[2])
	if err != nil {
		return 0
	}
	return no
}

// breaks reports that an errno is that of a lost connection, and so no reason by itself.
func breaks(no int) bool {
	return no == 32 || no == 101 || no >= 103 && no <= 113
}

// conflicts reports that an errno says that something else than a folder or a regular file is in the way.
func conflicts(no int) bool { return no == 17 || no == 20 || no == 21 || no == 40 }

// spoolFull is the error where the agent's own disk has no room.
func spoolFull(cause error) error {
	return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeSpoolFull, Cause: fmt.Errorf(
		"the spool on this machine has no room: %w; free some, or configure a spool on another volume", cause)}
}

// spoolError is an error of this machine's own disk. It never counts as an absent file of the place.
func spoolError(err error) error {
	if isFull(err) {
		return spoolFull(hideAbsence(err))
	}
	return fmt.Errorf("the spool on this machine: %w", hideAbsence(err))
}

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// hideAbsence keeps an error of this machine from counting as an absent file of the place.
func hideAbsence(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return hidden{err}
	}
	return err
}

// hidden is an error whose codes can be had with errors.As, and which errors.Is does not look into.
type hidden struct{ err error }

func (h hidden) Error() string { return h.err.Error() }

// As finds target in the error.
func (h hidden) As(target any) bool { return errors.As(h.err, target) }
