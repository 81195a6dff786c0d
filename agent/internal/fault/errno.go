package fault

// linuxRows are Linux' errno values as on amd64 ($GOROOT/src/syscall/zerrors_linux_amd64.go), which other programs report
// too, whatever this system is.
func linuxRows() map[uint64]row {
	return map[uint64]row{
		28:  {code: "ENOSPC", class: ClassCapacity},
		27:  {code: "EFBIG", class: ClassCapacity, topic: topicTooLarge, item: true},
		122: {code: "EDQUOT", class: ClassQuota},

		30:  {code: "EROFS", class: ClassDestConfig, topic: topicReadOnly},
		38:  {code: "ENOSYS", class: ClassDestConfig, topic: topicUnsupported},
		95:  {code: "EOPNOTSUPP", class: ClassDestConfig, topic: topicUnsupported},
		40:  {code: "ELOOP", class: ClassDestConfig, topic: topicLink},
		5:   {code: "EIO", class: ClassIntegrity},
		117: {code: "EUCLEAN", class: ClassIntegrity},
		74:  {code: "EBADMSG", class: ClassIntegrity},
		17:  {code: "EEXIST", class: ClassIntegrity, topic: topicConflict, item: true},
		21:  {code: "EISDIR", class: ClassIntegrity, topic: topicConflict, item: true},

		116: {code: "ESTALE", class: ClassDestLost},
		107: {code: "ENOTCONN", class: ClassDestLost},
		112: {code: "EHOSTDOWN", class: ClassDestLost},
		113: {code: "EHOSTUNREACH", class: ClassDestLost, party: PartyNetwork, topic: topicNoRoute},
		101: {code: "ENETUNREACH", class: ClassDestLost, party: PartyNetwork, topic: topicNoRoute},
		100: {code: "ENETDOWN", class: ClassDestLost, party: PartyNetwork, topic: topicNoRoute},
		102: {code: "ENETRESET", class: ClassDestLost, party: PartyNetwork},
		19:  {code: "ENODEV", class: ClassDestLost},
		6:   {code: "ENXIO", class: ClassDestLost},
		121: {code: "EREMOTEIO", class: ClassDestLost},
		123: {code: "ENOMEDIUM", class: ClassDestLost},
		2:   {code: "ENOENT", class: ClassDestLost, topic: topicMissing, item: true},
		20:  {code: "ENOTDIR", class: ClassDestLost, topic: topicMissing, item: true},

		104: {code: "ECONNRESET", class: ClassNetwork},
		111: {code: "ECONNREFUSED", class: ClassNetwork, topic: topicRefused},
		103: {code: "ECONNABORTED", class: ClassNetwork},
		110: {code: "ETIMEDOUT", class: ClassNetwork, topic: topicTimeout},
		32:  {code: "EPIPE", class: ClassNetwork},

		13:  {code: "EACCES", class: ClassPermission},
		1:   {code: "EPERM", class: ClassPermission, topic: topicNotPermitted, vague: true},
		126: {code: "ENOKEY", class: ClassCredential, topic: topicTicket},
		127: {code: "EKEYEXPIRED", class: ClassCredential, topic: topicTicket},
		128: {code: "EKEYREVOKED", class: ClassCredential, topic: topicTicket},
		129: {code: "EKEYREJECTED", class: ClassCredential, topic: topicTicket},

		36: {code: "ENAMETOOLONG", class: ClassName},
		84: {code: "EILSEQ", class: ClassName},
		22: {code: "EINVAL", class: ClassName},

		16: {code: "EBUSY", class: ClassTransient, topic: topicInUse},
		26: {code: "ETXTBSY", class: ClassTransient, topic: topicInUse},
		39: {code: "ENOTEMPTY", class: ClassTransient, topic: topicInUse},
		11: {code: "EAGAIN", class: ClassTransient},
		4:  {code: "EINTR", class: ClassTransient},

		24:  {code: "EMFILE", class: ClassLocal},
		23:  {code: "ENFILE", class: ClassLocal},
		12:  {code: "ENOMEM", class: ClassLocal},
		105: {code: "ENOBUFS", class: ClassLocal},
		18:  {code: "EXDEV", class: ClassClientBug},
	}
}
