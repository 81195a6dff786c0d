package simulation

import (
	"google.golang.org/protobuf/proto"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// corrupt changes one byte of the contents in a message, if it carries any.
func corrupt(m proto.Message) {
	response, ok := m.(*backupv1.FetchContentsResponse)
	if !ok {
		return
	}
	for _, segment := range response.GetSegments() {
		if data := segment.GetData(); len(data) > 0 {
			data[len(data)/2] ^= 1
		}
	}
}
