package authz_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wolkvox/backup/server/internal/authz"
)

// phrases are all the ways in which the contract says who may call a method.
var phrases = map[string]authz.Callers{
	"an operator": authz.Operator,
	"an operator; a client and an auditor for their own tenant":                                authz.Operator | authz.Client | authz.Auditor,
	"an operator; a client for their own tenant":                                               authz.Operator | authz.Client,
	"an operator; an auditor for their own tenant":                                             authz.Operator | authz.Auditor,
	"an operator; a platform for its own tenant":                                               authz.Operator | authz.Platform,
	"the agent assigned to the destination":                                                    authz.Agent,
	"an agent, for a destination that was ever assigned to it, or while its log is recovering": authz.Agent,
	"an agent; destinations that are not its own are answered NOT_ASSIGNED one by one":         authz.Agent,
	"an agent, with a certificate that is good or ended less than 30 days ago":                 authz.Agent,
	"the agent assigned to the destination; a client and an auditor for their own tenant":      authz.Agent | authz.Client | authz.Auditor,
	"as WatchLedger":              authz.Agent,
	"anyone who holds the secret": authz.Anyone,
	"whoever may open the socket": authz.Nobody, // of the agent's own service, which is not on the network
}

var (
	methodPattern = regexp.MustCompile(`((?:  //[^\n]*\n)+)  rpc (\w+)\(`)
	whoPattern    = regexp.MustCompile(`Who may call: (.*)\.$`)
	readsPattern  = regexp.MustCompile(`^(List|Read|Verify|Export|Prove|Find)`)
)

// The table says what the comments of the contract say, of every method of every service.
func TestTableIsTheContract(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../proto/wolkvox/backup/v1/*.proto")
	if err != nil {
		t.Fatal(err)
	}
	methods := 0
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, service, _ := strings.Cut(string(text), "\nservice ")
		service, _, _ = strings.Cut(service, " ")
		for _, m := range methodPattern.FindAllStringSubmatch(string(text), -1) {
			methods++
			comment := strings.Join(strings.Fields(strings.ReplaceAll(m[1], "//", "")), " ")
			who := whoPattern.FindStringSubmatch(comment)
			if who == nil {
				t.Errorf("%s.%s does not say who may call it", service, m[2])
				continue
			}
			callers, ok := phrases[who[1]]
			if !ok {
				t.Errorf("%s.%s is for %q, which is not known here", service, m[2], who[1])
			}
			want := authz.Rule{
				Callers:     callers,
				Changes:     service == "AdminService" && !readsPattern.MatchString(m[2]),
				WantsReason: strings.Contains(comment, "REASON_WANTED"),
				Forgotten:   who[1] == "as WatchLedger" || strings.Contains(who[1], "while its log is recovering"),
				AfterEnd:    strings.Contains(comment, "ended less than"),
			}
			if got := authz.Of("/wolkvox.backup.v1." + service + "/" + m[2]); got != want {
				t.Errorf("the table says %+v of %s.%s, the contract %+v", got, service, m[2], want)
			}
		}
	}
	if methods < 40 {
		t.Errorf("the contract has only %d methods; are its comments still read?", methods)
	}
}
