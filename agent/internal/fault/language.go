package fault

import "strings"

// Language is what faults are told in. The zero value is English.
type Language string

// The languages.
const (
	English Language = "en"
	Spanish Language = "es"
)

// Known reports whether it is one of the languages, or the zero value.
func (l Language) Known() bool { return l == "" || l == English || l == Spanish }

// topic is what a sentence is about: a class, or one of the cases that a class's own sentence would say too little of.
type topic string

const (
	topicConflict        topic = "conflict"
	topicReadBack        topic = "read-back"
	topicNoMarker        topic = "no-marker"
	topicForeignMarker   topic = "foreign-marker"
	topicMarker          topic = "marker"
	topicShortage        topic = "shortage"
	topicShortageInodes  topic = "shortage-inodes"
	topicSourceChanged   topic = "source-changed"
	topicDigestMismatch  topic = "digest-mismatch"
	topicTooLarge        topic = "too-large"
	topicReadOnly        topic = "read-only"
	topicReadRefused     topic = "read-refused"
	topicUnsupported     topic = "unsupported"
	topicLink            topic = "link"
	topicMissing         topic = "missing"
	topicShareName       topic = "share-name"
	topicNotFound        topic = "not-found"
	topicMappedDrive     topic = "mapped-drive"
	topicNoRoute         topic = "no-route"
	topicDNS             topic = "dns"
	topicRefused         topic = "refused"
	topicTimeout         topic = "timeout"
	topicConnections     topic = "connections"
	topicNotPermitted    topic = "not-permitted"
	topicTicket          topic = "ticket"
	topicAccount         topic = "account"
	topicLockedOut       topic = "locked-out"
	topicPasswordExpired topic = "password-expired"
	topicDomain          topic = "domain"
	topicGuest           topic = "guest"
	topicSessionConflict topic = "session-conflict"
	topicHostKey         topic = "host-key"
	topicSecret          topic = "secret"
	topicProgram         topic = "program"
	topicProgramOld      topic = "program-old"
	topicRemoteProgram   topic = "remote-program"
	topicWrongProtocol   topic = "wrong-protocol"
	topicAlgorithms      topic = "algorithms"
	topicSpool           topic = "spool"
	topicInUse           topic = "in-use"
	topicVirus           topic = "virus"
	topicSFTPFailure     topic = "sftp-failure"
	topicRsyncFolder     topic = "rsync-folder"
	topicRsyncLogin      topic = "rsync-login"
	topicRsyncIO         topic = "rsync-io"
	topicRsyncPartial    topic = "rsync-partial"
	topicSSHExit         topic = "ssh-exit"
	topicStorageQuota    topic = "storage-quota"
	topicStorageFull     topic = "storage-full"
	topicStorageBusy     topic = "storage-busy"
	topicStorageDisk     topic = "storage-disk"
	topicStorageFailed   topic = "storage-failed"
	topicNotStorage      topic = "not-storage"
	topicNotAssigned     topic = "not-assigned"
)

// sentence returns what failed and what to do next. {place} in a sentence follows a noun, and is left out where the place
// is not known.
func (t Teller) sentence(r row) string {
	sentences := englishSentences()
	if t.Language == Spanish {
		sentences = spanishSentences()
	}
	about := r.topic
	if about == "" {
		about = topic(r.class)
	}
	const maxPlaceBytes = 300
	place := ""
	if t.Place != "" {
		place = " " + cut(strings.ToValidUTF8(t.Place, "?"), maxPlaceBytes)
	}
	return strings.ReplaceAll(sentences[about], " {place}", place)
}
