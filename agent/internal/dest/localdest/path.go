package localdest

import "strings"

// driveOf returns the drive letter of a Windows path with its colon, "" for any other path.
func driveOf(dir string) string {
	dir = strings.ReplaceAll(dir, "/", `\`)
	if rest, ok := strings.CutPrefix(dir, `\\?\`); ok {
		dir = rest
	}
	if len(dir) < 2 || dir[1] != ':' {
		return ""
	}
	if letter := dir[0] &^ 0x20; letter < 'A' || letter > 'Z' {
		return ""
	}
	return strings.ToUpper(dir[:2])
}

// shareOf returns the server and the share of a UNC path, `\\server\share`, "" for any other path.
func shareOf(dir string) string {
	dir = strings.ReplaceAll(dir, "/", `\`)
	rest, isUNC := strings.CutPrefix(dir, `\\`)
	if !isUNC {
		return ""
	}
	if device, isDevice := strings.CutPrefix(rest, `?\`); isDevice {
		const unc = `UNC\`
		if len(device) < len(unc) || !strings.EqualFold(device[:len(unc)], unc) {
			return ""
		}
		rest = device[len(unc):]
	}
	server, below, _ := strings.Cut(rest, `\`)
	share, _, _ := strings.Cut(below, `\`)
	if server == "" || server == "." || share == "" {
		return ""
	}
	return `\\` + server + `\` + share
}

// behind returns where a path on a drive that is mapped to share leads.
func behind(dir, share string) string {
	_, below, _ := strings.Cut(strings.ReplaceAll(dir, "/", `\`), ":")
	return strings.TrimRight(share, `\`) + strings.TrimRight(below, `\`)
}
