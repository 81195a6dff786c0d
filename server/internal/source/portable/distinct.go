package portable

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	backup "github.com/wolkvox/backup"
)

// maxExtensionBytes is the longest extension, with its dot, that is kept behind a suffix.
const maxExtensionBytes = 16

// Fold returns the form under which paths are compared, so that names which some system takes for the same are
// the same: NFKC, case folding, NFKC.
func Fold(path string) string {
	if isASCII(path) {
		return strings.ToLower(path)
	}
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(path)))
}

// folderMark ends the key of a folder. Folding yields no such character, whereas "/" may come out of others.
const folderMark = "\x00"

// Keys returns what a destination holds once it has an item at path: the folded path, and the folded path of
// each of its folders followed by a zero byte. A caller that keeps them all, and answers from them what [Distinct] asks,
// keeps a file and a folder from having the same name too.
func Keys(path string) []string {
	keys := []string{Fold(path)}
	for folder, _ := split(path); folder != ""; folder, _ = split(folder) {
		keys = append(keys, Fold(folder)+folderMark)
	}
	return keys
}

// Distinct returns path, which passes [backup.CheckPath], or where it is taken the first of name~2.ext,
// name~3.ext, … that is not. So too for each of its folders, where a file has that name. The result passes CheckPath;
// a name that would be too long is cut. Taken is asked for keys as [Keys] returns them.
func Distinct(path string, taken func(folded string) bool) string {
	folder, name := split(path)
	if folder != "" {
		folder = Distinct(folder, func(folded string) bool {
			return !strings.HasSuffix(folded, folderMark) && taken(folded)
		})
	}
	candidate := join(folder, name)
	for n := 2; ; n++ {
		if folded := Fold(candidate); !taken(folded) && !taken(folded+folderMark) {
			return candidate
		}
		candidate = join(folder, suffixed(name, "~"+strconv.Itoa(n)))
	}
}

// suffixed puts suffix between the name and its extension, cutting the name where it would be too long.
func suffixed(name, suffix string) string {
	stem, extension := name, ""
	if dot := strings.LastIndexByte(name, '.'); dot > 0 && len(name)-dot <= maxExtensionBytes {
		stem, extension = name[:dot], name[dot:]
	}
	return cut(stem, backup.MaxComponentBytes-len(suffix)-len(extension)) + suffix + extension
}

// cut returns the longest start of name of at most size bytes that breaks neither a character nor a "%xx".
func cut(name string, size int) string {
	if len(name) <= size {
		return name
	}
	for size > 0 && !utf8.RuneStart(name[size]) {
		size--
	}
	for back := 1; back <= 2 && back <= size; back++ {
		if name[size-back] == '%' {
			return name[:size-back]
		}
	}
	return name[:size]
}

// join puts a name into a folder, leaving out as many of the folder's last components as make the path too
// long. One component and a name always fit.
func join(folder, name string) string {
	for folder != "" && len(folder)+1+len(name) > backup.MaxPathBytes {
		folder, _ = split(folder)
	}
	if folder == "" {
		return name
	}
	return folder + "/" + name
}

func split(path string) (folder, name string) {
	slash := strings.LastIndexByte(path, '/')
	if slash < 0 {
		return "", path
	}
	return path[:slash], path[slash+1:]
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
