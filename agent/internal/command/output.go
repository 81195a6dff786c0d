package command

import (
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// The values of --output.
const (
	outputHuman = "human"
	outputJSON  = "json"
)

// writeMessage writes a message of the contract as JSON.
func (p *program) writeMessage(m proto.Message) error {
	text, err := wire.IndentedJSON(m)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s\n", text)
	return err
}

func (p *program) writeJSON(v any) error {
	encoder := json.NewEncoder(p.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// writeLine writes a value as JSON on one line.
func (p *program) writeLine(v any) error { return json.NewEncoder(p.stdout).Encode(v) }

func bytesText(n int64) string {
	const units = "kMGTP"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1000, 0
	for value >= 1000 && unit < len(units)-1 {
		value /= 1000
		unit++
	}
	return fmt.Sprintf("%.1f %cB", value, units[unit])
}

// daysLeft says how long retries go on, for people.
func daysLeft(deadline *timestamppb.Timestamp, now time.Time) string {
	if deadline == nil {
		return "-"
	}
	left := deadline.AsTime().Sub(now)
	switch {
	case left < 0:
		return "passed"
	case left < 48*time.Hour:
		return fmt.Sprintf("%d h", int(left.Hours()))
	}
	return fmt.Sprintf("%d days", int(left.Hours()/24))
}

// clock is an instant for people, by this machine's zone.
func clock(t *timestamppb.Timestamp) string {
	return t.AsTime().Local().Format("2006-01-02 15:04:05 MST")
}

// headText is a head as people compare it: its size and its root.
func headText(p *backupv1.LogPosition) string {
	if p == nil {
		return "none yet"
	}
	return fmt.Sprintf("%d %x", p.GetSize(), p.GetRoot())
}
