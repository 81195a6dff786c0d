package catalogrpc

import (
	"crypto/sha256"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sealer"
	"github.com/wolkvox/backup/server/internal/source"
)

// maxAhead is how far in the future a recording may have been made, by the server's clock.
const maxAhead = 24 * time.Hour

// codesOf is what the ledger says for the reasons of the contract.
var codesOf = map[backupv1.NoRecordingReason]string{
	backupv1.NoRecordingReason_NO_RECORDING_REASON_ABANDONED:    "abandoned",
	backupv1.NoRecordingReason_NO_RECORDING_REASON_NOT_ANSWERED: "not-answered",
	backupv1.NoRecordingReason_NO_RECORDING_REASON_NOT_RECORDED: "not-recorded",
	backupv1.NoRecordingReason_NO_RECORDING_REASON_FAILED:       "failed",
	backupv1.NoRecordingReason_NO_RECORDING_REASON_OTHER:        "other",
}

// form is what announcements of one tenant are held against.
type form struct {
	zone    *time.Location
	sources map[string]bool
	at      time.Time
}

// parse reads an announcement; refused is the verdict on one that is not of its form.
func (f form) parse(m *backupv1.Announcement) (a registry.Announcement, refused *backupv1.AnnouncementVerdict) {
	a = registry.Announcement{Interaction: m.GetInteraction(), SizeBytes: -1}
	if size := len(a.Interaction); size < 1 || size > ledger.MaxInteractionBytes || hasControl(a.Interaction) {
		return a, refuse(wire.ReasonBadRequest, "the interaction %.140q is not 1 to %d bytes without control characters", a.Interaction, ledger.MaxInteractionBytes)
	}
	if err := m.GetRecordedTime().CheckValid(); err != nil {
		return a, refuse(wire.ReasonBadRequest, "recorded_time: %v", err)
	}
	if m.GetRecordedTime().GetNanos() != 0 {
		return a, refuse(wire.ReasonBadRequest, "recorded_time has a fraction of a second; manifests have whole seconds")
	}
	a.RecordedAt = m.GetRecordedTime().AsTime()
	a.Night = source.NightOf(a.RecordedAt, f.zone)
	if oldest := backup.DateOf(f.at.In(f.zone)).AddDays(-sealer.KeptNights); a.RecordedAt.After(f.at.Add(maxAhead)) || a.Night.Compare(oldest) <= 0 {
		return a, refuse(wire.ReasonBadRequest, "recorded_time is %s; it has to be after the night %s, and at most a day ahead of %s",
			a.RecordedAt.Format(time.RFC3339), oldest, f.at.UTC().Format(time.RFC3339))
	}
	switch outcome := m.GetOutcome().(type) {
	case *backupv1.Announcement_NoRecording:
		code, ok := codesOf[outcome.NoRecording]
		if !ok {
			return a, refuse(wire.ReasonBadRequest, "no_recording is %v, which is no reason", outcome.NoRecording)
		}
		a.NoRecording = code
		return a, nil
	case *backupv1.Announcement_Recording:
		return f.recording(a, outcome.Recording)
	}
	return a, refuse(wire.ReasonBadRequest, "say of the interaction either which recording it has, or why it has none")
}

func (f form) recording(a registry.Announcement, m *backupv1.AnnouncedRecording) (registry.Announcement, *backupv1.AnnouncementVerdict) {
	if !f.sources[m.GetSource()] {
		return a, refuse(wire.ReasonNoSource, "the tenant has no source %.100q", m.GetSource())
	}
	below := m.GetPath()
	if below == "" || below == "." || path.Clean("/" + below)[1:] != below || strings.ContainsRune(below, 0) {
		return a, refuse(wire.ReasonBadRequest, "the path %.200q is not one below the source in its shortest form", below)
	}
	a.SourcePath = m.GetSource() + "/" + below
	if len(a.SourcePath) > source.MaxSourcePathBytes {
		return a, refuse(wire.ReasonBadRequest, "the path has more than %d bytes with its source's name", source.MaxSourcePathBytes)
	}
	if m.SizeBytes != nil {
		a.SizeBytes = m.GetSizeBytes()
		if a.SizeBytes < 0 || a.SizeBytes > backup.MaxInt {
			return a, refuse(wire.ReasonBadRequest, "size_bytes is %d", a.SizeBytes)
		}
	}
	switch len(m.GetSha256()) {
	case 0:
	case sha256.Size:
		a.SHA256, a.HasSHA256 = [sha256.Size]byte(m.GetSha256()), true
	default:
		return a, refuse(wire.ReasonBadRequest, "sha256 has %d bytes, not %d", len(m.GetSha256()), sha256.Size)
	}
	if a.HasSHA256 && m.SizeBytes == nil {
		return a, refuse(wire.ReasonBadRequest, "sha256 without size_bytes: neither alone identifies contents")
	}
	if m.GetKind() != backupv1.MediaKind_MEDIA_KIND_UNSPECIFIED {
		kind, err := wire.ParseMediaKind(m.GetKind())
		if err != nil {
			return a, refuse(wire.ReasonBadRequest, "kind: %v", err)
		}
		a.Kind = kind
	}
	return a, nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

func refuse(reason, format string, args ...any) *backupv1.AnnouncementVerdict {
	return &backupv1.AnnouncementVerdict{
		Verdict: backupv1.AnnouncementVerdict_VERDICT_REFUSED, Reason: reason, Message: fmt.Sprintf(format, args...),
	}
}
