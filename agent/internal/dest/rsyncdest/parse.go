package rsyncdest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// unescape returns the name that rsync shows with \#ooo in place of control characters, and of backslashes that would look
// like such an escape (rsync(1), --8-bit-output).
func unescape(shown string) string {
	if !strings.Contains(shown, `\#`) {
		return shown
	}
	var b strings.Builder
	for i := 0; i < len(shown); i++ {
		if strings.HasPrefix(shown[i:], `\#`) && len(shown) >= i+5 {
			if c, err := strconv.ParseUint(shown[i+2:i+5], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 4
				continue
			}
		}
		b.WriteByte(shown[i])
	}
	return b.String()
}

// change is one itemized line: what rsync did with a name, or would do.
type change struct {
	what string // YXcstpoguax of rsync(1), --itemize-changes
	name string
}

// changeFormat is the --out-format that parseChange reads.
const changeFormat = "--out-format=%i %n"

const deleting = "*deleting  " // stands in place of the letters

// parseChange reads a line of changeFormat, and returns false for any other line.
func parseChange(line string) (change, bool) {
	const letters = 11
	if len(line) < letters+2 || line[letters] != ' ' {
		return change{}, false
	}
	c := change{what: line[:letters], name: unescape(line[letters+1:])}
	if c.what != deleting && (!strings.ContainsRune("<>ch.", rune(line[0])) || !strings.ContainsRune("fdLDS", rune(line[1]))) {
		return change{}, false
	}
	return c, true
}

// sent reports that a file goes, or would go, from here.
func (c change) sent() bool { return strings.HasPrefix(c.what, "<f") }

// created reports that there is nothing yet under the name.
func (c change) created() bool { return strings.HasPrefix(c.what, "<f+") }

// equal reports that the contents of a file are the same on both sides.
func (c change) equal() bool { return strings.HasPrefix(c.what, ".f") }

// listed is one line of a listing.
type listed struct {
	kind      byte // '-' for a regular file, 'd' for a folder, others as of ls
	sizeBytes int64
	name      string
}

var listedLine = regexp.MustCompile(`^([-a-zA-Z?])[-a-zA-Z]{9}[+.@]? +([0-9]+) \d{4}/\d\d/\d\d \d\d:\d\d:\d\d (.+)$`)

// parseListed reads a line that --list-only prints with plain numbers, and returns false for any other line.
func parseListed(line string) (listed, bool) {
	m := listedLine.FindStringSubmatch(line)
	if m == nil {
		return listed{}, false
	}
	size, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil {
		return listed{}, false
	}
	return listed{kind: m[1][0], sizeBytes: size, name: unescape(m[3])}, true
}

// Version is the version of an rsync program.
type Version struct{ Major, Minor, Patch int }

// String is the version with dots.
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Less reports that v is older than w.
func (v Version) Less(w Version) bool {
	switch {
	case v.Major != w.Major:
		return v.Major < w.Major
	case v.Minor != w.Minor:
		return v.Minor < w.Minor
	}
	return v.Patch < w.Patch
}

var versionText = regexp.MustCompile(`^rsync +version v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})`)

// parseVersion reads what rsync --version prints.
func parseVersion(text string) (Version, bool) {
	m := versionText.FindStringSubmatch(text)
	if m == nil {
		return Version{}, false
	}
	var n [3]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // digits, and few
	}
	return Version{n[0], n[1], n[2]}, true
}
