package fault

import "github.com/wolkvox/backup/agent/internal/dest"

// driverRows are what drivers themselves find, by name.
func driverRows() map[string]row {
	return map[string]row{
		dest.CodeHostKey:       {class: ClassDestConfig, topic: topicHostKey},
		dest.CodeAuth:          {class: ClassCredential},
		dest.CodeSecret:        {class: ClassCredential, topic: topicSecret},
		dest.CodeMappedDrive:   {class: ClassDestConfig, topic: topicMappedDrive},
		dest.CodeProgram:       {class: ClassDestConfig, topic: topicProgram},
		dest.CodeProgramOld:    {class: ClassDestConfig, topic: topicProgramOld},
		dest.CodeUnsupported:   {class: ClassDestConfig, topic: topicUnsupported},
		dest.CodeLink:          {class: ClassDestConfig, topic: topicLink},
		dest.CodeSpoolFull:     {class: ClassLocal, topic: topicSpool},
		dest.CodeServerSilent:  {class: ClassNetwork, topic: topicTimeout},
		dest.CodeWriteRefused:  {class: ClassDestConfig, topic: topicReadOnly, vague: true},
		dest.CodeReadRefused:   {class: ClassDestConfig, topic: topicReadRefused, vague: true},
		dest.CodeNotFound:      {class: ClassDestConfig, topic: topicNotFound},
		dest.CodeNoFolder:      {class: ClassDestLost, topic: topicMissing},
		dest.CodeWrongProtocol: {class: ClassDestConfig, topic: topicWrongProtocol},
		dest.CodeImmutable:     {class: ClassImmutable},

		dest.CodeClock:           {class: ClassClock},
		dest.CodeAccountReadOnly: {class: ClassBilling, topic: topicAzureReadOnly},
	}
}
