//go:build linux && peers

package fleet

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Number is a number, also where JSON has it as a string.
type Number int64

// UnmarshalJSON reads both forms.
func (n *Number) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
	*n = Number(v)
	return err
}

// Hash is a hash in hexadecimal, also where JSON has it in base64.
type Hash string

// UnmarshalJSON reads both forms.
func (h *Hash) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	if _, err := hex.DecodeString(s); err != nil {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return fmt.Errorf("%q is no hash", s)
		}
		s = hex.EncodeToString(b)
	}
	*h = Hash(s)
	return nil
}

// Position is a prefix of a log.
type Position struct {
	Size Number
	Root Hash
}

// Counts are how many recordings are in each state.
type Counts struct {
	Pending   Number `json:"pending_count"`
	Confirmed Number `json:"confirmed_count"`
	Expired   Number `json:"expired_count"`
	Waived    Number `json:"waived_count"`
	Released  Number `json:"released_count"`
	Withdrawn Number `json:"withdrawn_count"`
	Forgotten Number `json:"forgotten_count"`
}

// Sum adds all states up.
func (c Counts) Sum() Number {
	return c.Pending + c.Confirmed + c.Expired + c.Waived + c.Released + c.Withdrawn + c.Forgotten
}

// Fault is why something did not go through.
type Fault struct {
	Class, Party, Code, Message string
}

// Night is one manifest.
type Night struct {
	Manifest  Number
	Night     string
	Items     Number `json:"item_count"`
	Counts    Counts
	Open      bool
	LastFault *Fault `json:"last_fault"`
}

// Item is one recording.
type Item struct {
	Manifest, Index Number
	Path            string
	SourcePath      string `json:"source_path"`
	SHA256          string
	SizeBytes       int64 `json:"size_bytes"`
	State           string
	LastFault       *Fault `json:"last_fault"`
}

// Destination is what an agent says of one destination.
type Destination struct {
	Name             string
	Counts           Counts
	Outbox           Number `json:"outbox_count"`
	Position, Agreed Position
	Problem          string
	LastFault        *Fault `json:"last_fault"`
	Nights           []Night
	Running          bool
	Circuit          *Circuit // nil where nothing keeps the agent from the destination
}

// Circuit says that a destination is left alone.
type Circuit struct {
	Fault   *Fault
	NextTry time.Time `json:"next_try_time"`
}

// String leaves out the nights.
func (d Destination) String() string {
	return fmt.Sprintf("%s: %+v, outbox %d, log %+v, agreed %+v, running %v, problem %q, last fault %+v",
		d.Name, d.Counts, d.Outbox, d.Position, d.Agreed, d.Running, d.Problem, d.LastFault)
}

// Status is what an agent says of itself.
type Status struct {
	Agent         string
	ServerProblem string `json:"server_problem"`
	Destinations  []Destination
}

// Report is the outcome of verifying a ledger.
type Report struct {
	Origin           string
	Position, Agreed Position
	Items            Number `json:"item_count"`
	Counts           Counts
	Problems         []string
}

// report reads what a verifying command says. One that could not be run ends the test.
func report(t testing.TB, r Result) Report {
	t.Helper()
	var answer struct {
		Report
		Wrapped *Report `json:"report"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &answer); err != nil {
		t.Fatalf("%v: %v", r, err)
	}
	found := answer.Report
	if answer.Wrapped != nil {
		found = *answer.Wrapped
	}
	if (r.Status == 0) != (len(found.Problems) == 0) {
		t.Errorf("the exit status does not fit the problems: %v", r)
	}
	return found
}
