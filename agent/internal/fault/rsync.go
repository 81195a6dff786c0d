package fault

// rsyncRows are rsync's exit statuses (errcode.h). None of them says that a disk is full: an errno in what it printed says
// more than any status, so all are vague. 255 is ssh's own.
func rsyncRows() map[int64]row {
	rows := map[int64]row{
		0:   {code: "RSYNC 0", class: ClassOther},
		1:   {code: "RSYNC 1", class: ClassClientBug},
		2:   {code: "RSYNC 2", class: ClassDestConfig, topic: topicProgramOld},
		3:   {code: "RSYNC 3", class: ClassDestConfig, topic: topicRsyncFolder},
		4:   {code: "RSYNC 4", class: ClassDestConfig, topic: topicUnsupported},
		5:   {code: "RSYNC 5", class: ClassCredential, topic: topicRsyncLogin},
		10:  {code: "RSYNC 10", class: ClassNetwork},
		11:  {code: "RSYNC 11", class: ClassCapacity, topic: topicRsyncIO},
		12:  {code: "RSYNC 12", class: ClassNetwork},
		13:  {code: "RSYNC 13", class: ClassLocal},
		14:  {code: "RSYNC 14", class: ClassLocal},
		15:  {code: "RSYNC 15", class: ClassTransient},
		16:  {code: "RSYNC 16", class: ClassTransient},
		19:  {code: "RSYNC 19", class: ClassTransient},
		20:  {code: "RSYNC 20", class: ClassTransient},
		21:  {code: "RSYNC 21", class: ClassLocal},
		22:  {code: "RSYNC 22", class: ClassLocal},
		23:  {code: "RSYNC 23", class: ClassOther, topic: topicRsyncPartial},
		24:  {code: "RSYNC 24", class: ClassTransient},
		25:  {code: "RSYNC 25", class: ClassClientBug},
		30:  {code: "RSYNC 30", class: ClassNetwork, topic: topicTimeout},
		35:  {code: "RSYNC 35", class: ClassDestLost},
		124: {code: "RSYNC 124", class: ClassDestConfig, topic: topicRemoteProgram},
		125: {code: "RSYNC 125", class: ClassTransient},
		126: {code: "RSYNC 126", class: ClassDestConfig, topic: topicRemoteProgram},
		127: {code: "RSYNC 127", class: ClassDestConfig, topic: topicRemoteProgram},
		255: {code: "SSH 255", class: ClassNetwork, topic: topicSSHExit},
	}
	for status, r := range rows {
		r.vague = true
		rows[status] = r
	}
	return rows
}
