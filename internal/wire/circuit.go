package wire

import (
	"fmt"
	"time"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/store"
)

// LeftAlone says that a destination is left alone after a fault that hit it as a whole.
type LeftAlone struct {
	Fault          store.Fault
	Since, NextTry time.Time
}

// Circuit describes that a destination is left alone; nil for one that is not.
func Circuit(l *LeftAlone) *backupv1.Circuit {
	if l == nil {
		return nil
	}
	return &backupv1.Circuit{Fault: Fault(l.Fault), SinceTime: Time(l.Since), NextTryTime: Time(l.NextTry)}
}

// ParseCircuit is the inverse of [Circuit]; nil where there is none. What a [ParseFault] refuses, and times that are none, are
// errors.
func ParseCircuit(m *backupv1.Circuit) (*LeftAlone, error) {
	if m == nil {
		return nil, nil
	}
	fault, err := ParseFault(m.GetFault())
	if err != nil {
		return nil, fmt.Errorf("a destination is left alone: %w", err)
	}
	since, err := ParseTime(m.GetSinceTime())
	if err != nil {
		return nil, err
	}
	next, err := ParseTime(m.GetNextTryTime())
	if err != nil {
		return nil, err
	}
	return &LeftAlone{Fault: fault, Since: since, NextTry: next}, nil
}
