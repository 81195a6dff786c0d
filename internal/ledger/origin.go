package ledger

import (
	"fmt"
	"strings"
)

const (
	originPrefix = "wolkvox.com/backup/"
	logIDChars   = 32
	agentChars   = 16
	agentPart    = "/agent/"
)

// Origin names one log: "wolkvox.com/backup/TENANT/DESTINATION/LOGID". It is also the name of the server's key of that
// log. The zero value is no origin.
type Origin string

// NewOrigin returns the origin of the log with these names. tenant and destination are labels ([CheckLabel]), logID is
// 32 lower-case hexadecimal characters.
func NewOrigin(tenant, destination, logID string) (Origin, error) {
	return ParseOrigin(originPrefix + tenant + "/" + destination + "/" + logID)
}

// ParseOrigin reads an origin. The error is a [*RefusedError] with TEXT.
func ParseOrigin(s string) (Origin, error) {
	rest, ok := strings.CutPrefix(s, originPrefix)
	tenant, rest, ok2 := strings.Cut(rest, "/")
	destination, logID, ok3 := strings.Cut(rest, "/")
	if !ok || !ok2 || !ok3 || !isLabel(tenant) || !isLabel(destination) || !isHex(logID, logIDChars) {
		return "", refuse(ReasonText, "%.200q is no origin of the form %sTENANT/DESTINATION/LOGID", s, originPrefix)
	}
	return Origin(s), nil
}

// part returns the nth part between slashes of a valid origin, otherwise "".
func (o Origin) part(n int) string {
	parts := strings.Split(string(o), "/")
	if len(parts) != 5 {
		return ""
	}
	return parts[n]
}

// Tenant returns the tenant's name.
func (o Origin) Tenant() string { return o.part(2) }

// Destination returns the destination's name.
func (o Origin) Destination() string { return o.part(3) }

// LogID returns the 32 hexadecimal characters that tell this log from every other of the destination.
func (o Origin) LogID() string { return o.part(4) }

// AgentKeyName returns the name that the key of the agent has for this log.
func (o Origin) AgentKeyName(agent string) string { return string(o) + agentPart + agent }

// ParseAgentKeyName is the inverse of [Origin.AgentKeyName]. The error is a [*RefusedError] with TEXT.
func ParseAgentKeyName(name string) (Origin, string, error) {
	if at := strings.LastIndex(name, agentPart); at >= 0 {
		o, err := ParseOrigin(name[:at])
		if agent := name[at+len(agentPart):]; err == nil && isHex(agent, agentChars) {
			return o, agent, nil
		}
	}
	return "", "", refuse(ReasonText, "%.200q is no name of an agent's key, ORIGIN%sAGENT", name, agentPart)
}

// CheckLabel reports why s cannot be the name of a tenant or a destination, nil if it can.
func CheckLabel(s string) error {
	if !isLabel(s) {
		return fmt.Errorf("the name %.80q is not 1 to %d lower-case letters and digits, in groups joined by single hyphens", s, MaxLabelBytes)
	}
	return nil
}

// CheckAgentName reports why s cannot be the name of an agent, nil if it can.
func CheckAgentName(s string) error {
	if !isHex(s, agentChars) {
		return fmt.Errorf("the agent's name %.80q is not %d lower-case hexadecimal characters", s, agentChars)
	}
	return nil
}
