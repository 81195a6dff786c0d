package wire

import (
	"errors"
	"fmt"
	"strings"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/store"
)

// Limits of what a peer may say of a fault, in bytes.
const (
	maxFaultWordBytes    = 64
	maxFaultMessageBytes = 1024
)

// ParseFault is the inverse of [Fault]. A missing class or party, words that are too long and a negative count are
// errors; a message is cut where it is too long.
func ParseFault(m *backupv1.Fault) (store.Fault, error) {
	switch {
	case m.GetClass() == "" || m.GetParty() == "":
		return store.Fault{}, errors.New("a fault has no class or no party")
	case len(m.GetClass()) > maxFaultWordBytes || len(m.GetParty()) > maxFaultWordBytes || len(m.GetCode()) > maxFaultWordBytes:
		return store.Fault{}, fmt.Errorf("the class, party or code of a fault has more than %d bytes", maxFaultWordBytes)
	case m.GetAttemptCount() < 0:
		return store.Fault{}, fmt.Errorf("a fault was met %d times", m.GetAttemptCount())
	}
	last, err := ParseTime(m.GetLastTime())
	if err != nil {
		return store.Fault{}, err
	}
	message := m.GetMessage()
	if len(message) > maxFaultMessageBytes {
		message = strings.ToValidUTF8(message[:maxFaultMessageBytes], "")
	}
	return store.Fault{Class: m.GetClass(), Party: m.GetParty(), Code: m.GetCode(), Message: message, Last: last, Attempts: m.GetAttemptCount()}, nil
}
