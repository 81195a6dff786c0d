// Package media tells what the contents of a recording are from its first bytes and its name. It decodes
// nothing, and does not tell whether a recording is whole or can be played.
package media

import (
	"path"
	"strings"

	backup "github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/audio"
)

// HeadBytes is how many bytes from the start of a file [Kind] wants to see. It works with fewer.
const HeadBytes = 64 << 10

// Kind returns what a file is. Head is its first bytes, up to [HeadBytes] of them, or all of a shorter file.
// The contents decide. Where they say too little (an empty file, a single frame, noise before the first frame, text
// that could be anything) the name does; what is recognised by neither is [backup.KindOther].
func Kind(name string, head []byte, sizeBytes int64) backup.MediaKind {
	named := kindByName(name)
	switch {
	case len(head) == 0:
		return named
	case audio.IsRIFFWave(head):
		return choose(waveFormat(head) == audio.FormatGSM610, backup.KindWAV49)
	case beginsMP3(head, sizeBytes, named == backup.KindMP3):
		return backup.KindMP3
	case isUTF8(head, sizeBytes): // before GSM: letters of many scripts begin with 0xD
		return choose(named == backup.KindChat || isMarkup(head) || extension(name) == "", backup.KindChat)
	case isGSM(head, sizeBytes, named == backup.KindGSM):
		return backup.KindGSM
	case named == backup.KindChat && (isUTF16(head) || isText(head)):
		return backup.KindChat
	}
	return choose(holdsMP3(head, named == backup.KindMP3), backup.KindMP3)
}

// choose returns the kind where it is recognised.
func choose(recognised bool, kind backup.MediaKind) backup.MediaKind {
	if recognised {
		return kind
	}
	return backup.KindOther
}

func kindByName(name string) backup.MediaKind {
	switch extension(name) {
	case ".gsm":
		return backup.KindGSM
	case ".wav49":
		return backup.KindWAV49
	case ".mp3":
		return backup.KindMP3
	case ".txt", ".text", ".chat", ".json", ".jsonl", ".ndjson", ".html", ".htm", ".xhtml", ".xml":
		return backup.KindChat
	}
	return backup.KindOther
}

func extension(name string) string { return strings.ToLower(path.Ext(path.Base(name))) }
