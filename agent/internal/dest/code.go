package dest

import "fmt"

// CodeSpace says whose numbering a [CodeError]'s code belongs to.
type CodeSpace string

// The numberings. Errors of this machine's own system need none: they are syscall.Errno.
const (
	SpaceErrno    CodeSpace = "errno"    // Linux errno values that a remote program reports, whatever this system is
	SpaceNTStatus CodeSpace = "ntstatus" // MS-ERREF section 2.3, as SMB servers answer
	SpaceSFTP     CodeSpace = "sftp"     // SSH_FX_*, draft-ietf-secsh-filexfer-13 section 9.1
	SpaceSSH      CodeSpace = "ssh"      // disconnect reasons, RFC 4253 section 11.1
	SpaceRsync    CodeSpace = "rsync"    // exit statuses, rsync's errcode.h
	SpaceS3       CodeSpace = "s3"       // Name is the error code of Amazon S3's API, Number the HTTP status; Name is empty where there is none
	SpaceAzure    CodeSpace = "azure"    // Name is the error code of Azure Blob Storage's API (x-ms-error-code), Number the HTTP status
	SpaceWolkvox  CodeSpace = "wolkvox"  // Name is the reason of an answer of wolkvox' server, Number its gRPC code; Name is empty where there is none
	SpaceDriver   CodeSpace = "driver"   // what a driver itself found; Number is 0, Name one of the Code constants
)

// What a driver itself can find, the names of [SpaceDriver].
const (
	CodeHostKey       = "HOST_KEY"       // the server showed another key than the pinned one
	CodeAuth          = "AUTHENTICATION" // the server took none of the credentials
	CodeSecret        = "SECRET"         // a secret cannot be read, or others can read it
	CodeMappedDrive   = "MAPPED_DRIVE"   // the path leads through a drive letter that only one session has
	CodeProgram       = "PROGRAM"        // a program that is needed is missing or cannot run
	CodeProgramOld    = "PROGRAM_OLD"    // a program is too old for what is needed
	CodeUnsupported   = "UNSUPPORTED"    // the peer cannot do what is needed
	CodeLink          = "LINK"           // a link leads out of the place
	CodeSpoolFull     = "SPOOL_FULL"     // the agent's own disk has no room to gather a batch
	CodeServerSilent  = "TIMEOUT"        // the peer has not answered in time
	CodeWriteRefused  = "WRITE_REFUSED"  // the peer takes no writes at this place
	CodeReadRefused   = "READ_REFUSED"   // the peer lets nothing be read at this place
	CodeNotFound      = "NOT_FOUND"      // what the place is configured with is not at the server: a module, a folder
	CodeWrongProtocol = "WRONG_PROTOCOL" // the peer speaks something else
	CodeImmutable     = "IMMUTABLE"      // what is there cannot be changed by anybody: immutable attribute, WORM
)

// CodeError is an error of a driver with the code that the peer or the tool gave. Package fault turns codes into classes
// and sentences; drivers judge nothing. It unwraps to its cause, so drivers give it a cause that is fs.ErrNotExist only
// where a name is truly absent.
type CodeError struct {
	Space  CodeSpace
	Number int64
	Name   string // the code's symbol, such as "STATUS_LOGON_FAILURE"; empty where there is none
	Cause  error  // never nil
}

// Error is the cause and the code.
func (e *CodeError) Error() string {
	switch {
	case e.Space == SpaceDriver:
		return e.Cause.Error()
	case e.Name != "":
		return fmt.Sprintf("%v (%s %s)", e.Cause, e.Space, e.Name)
	}
	return fmt.Sprintf("%v (%s %d)", e.Cause, e.Space, e.Number)
}

// Unwrap returns the cause.
func (e *CodeError) Unwrap() error { return e.Cause }
