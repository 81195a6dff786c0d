package fault

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// operations is the operator's page, which lists the classes.
const operations = "../../../docs/operations.md"

// TestDocumented keeps the operator's page and the policies equal.
func TestDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	const head = "| class | party | left alone | tried again | told |\n| ----- | ----- | ---------- | ----------- | ---- |\n"
	var table strings.Builder
	table.WriteString(head)
	for _, class := range Classes() {
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s | %s |\n", class, partiesOf(class), leftAlone(PolicyOf(class)), triedAgain(PolicyOf(class)), told(PolicyOf(class)))
	}
	if !strings.Contains(string(page), table.String()) {
		t.Errorf("docs/operations.md does not have this table:\n%s", table.String())
	}
}

// partiesOf returns the parties that the tables and the named faults give to a class.
func partiesOf(class string) string {
	rows := []row{{class: class}}
	for _, table := range []map[uint64]row{linuxRows(), windowsRows()} {
		for _, r := range table {
			rows = append(rows, r)
		}
	}
	for _, r := range s3Rows() {
		rows = append(rows, r)
	}
	for _, r := range azureRows() {
		rows = append(rows, r)
	}
	parties := []string{}
	for _, r := range rows {
		if r.class == class && !slices.Contains(parties, r.partyOrDefault()) {
			parties = append(parties, r.partyOrDefault())
		}
	}
	for _, f := range []Fault{(Teller{}).SourceChanged(), (Teller{}).DigestMismatch()} {
		if f.Class == class && !slices.Contains(parties, f.Party) {
			parties = append(parties, f.Party)
		}
	}
	slices.Sort(parties)
	return strings.Join(parties, ", ")
}

func leftAlone(p Policy) string {
	text := "at once"
	switch {
	case p.OpensAfter == 0:
		return "never"
	case p.OpensAfter > 1:
		text = fmt.Sprintf("after %d in a row", p.OpensAfter)
	}
	if p.OpensAbovePercent > 0 {
		text += fmt.Sprintf(", or more than %d %% of the recordings", p.OpensAbovePercent)
	}
	if p.WritesOnly {
		text += ", for writing"
	}
	return text
}

func triedAgain(p Policy) string {
	minutes := func(d time.Duration) string { return fmt.Sprintf("%d", int(d.Minutes())) }
	text := "after up to " + minutes(p.First) + ", 2, 4 … " + minutes(p.Longest) + " min"
	if !p.Jitter {
		text = "after " + minutes(p.First) + " min"
	}
	if p.TriesPerHour > 0 {
		text += fmt.Sprintf(", at most %d times an hour", p.TriesPerHour)
	}
	if p.WritesOnly {
		text = "when there is room; " + text
	}
	return text
}

func told(p Policy) string {
	if len(p.Told) == 0 {
		return "nobody"
	}
	var readers []string
	for _, r := range p.Told {
		readers = append(readers, string(r))
	}
	text := strings.Join(readers, ", ")
	if p.ToldAfter > 0 {
		text += fmt.Sprintf(", after %d h", int(p.ToldAfter.Hours()))
	}
	return text
}
