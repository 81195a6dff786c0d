package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/wolkvox/backup/internal/identity"
)

func newAct(i int) Act {
	return Act{
		Time: at.Add(time.Duration(i) * time.Second), Who: "wolkvox://role/operator/maria", Act: "CreateTenant",
		Subject: fmt.Sprintf(`{"tenant":{"name":"t%d"}}`, i), Reason: "<because>", Outcome: OutcomeOK, Tenant: []string{"acme", "globex"}[i%2],
	}
}

func act(t *testing.T, r *Registry, a Act) {
	t.Helper()
	name, err := r.BeginAct(a)
	check(t, err)
	check(t, r.EndAct(name, a))
}

func adminLog(t *testing.T, r *Registry, tenant string, after int64) (records []AdminRecord) {
	t.Helper()
	check(t, r.AdminLog(tenant, after, func(record AdminRecord) error {
		records = append(records, record)
		return nil
	}))
	return records
}

func numbers(records []AdminRecord) (n []int64) {
	for _, r := range records {
		n = append(n, r.Number)
	}
	return n
}

func TestAdminLog(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	if n, err := r.VerifyAdminLog(); n != 0 || err != nil {
		t.Errorf("VerifyAdminLog of an empty log = %d, %v", n, err)
	}
	for i := range 300 { // more than fits into one byte of the number
		act(t, r, newAct(i))
	}
	all := adminLog(t, r, "", 0)
	if len(all) != 300 || all[0].Previous != strings.Repeat("0", 64) {
		t.Fatalf("%d records, the first %+v", len(all), all[0])
	}
	for i, got := range all {
		want := AdminRecord{int64(i + 1), newAct(i), all[0].Previous}
		if i > 0 {
			var err error
			want.Previous, err = all[i-1].Hash()
			check(t, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("record %d: %s", i+1, diff)
		}
	}
	if got := numbers(adminLog(t, r, "globex", 294)); !cmp.Equal(got, []int64{296, 298, 300}) {
		t.Errorf("after 294 globex has the records %v", got)
	}
	stop := errors.New("stop")
	if err := r.AdminLog("", 0, func(AdminRecord) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("AdminLog = %v, want what its function returned", err)
	}
	if n, err := r.VerifyAdminLog(); n != 300 || err != nil {
		t.Errorf("VerifyAdminLog = %d, %v", n, err)
	}
}

func TestAdminLogShowsWhatWasDoneToIt(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		tamper func(txn *badger.Txn, records []AdminRecord) error
		names  string // in the error
	}{
		"a changed record": {func(txn *badger.Txn, records []AdminRecord) error {
			records[4].Reason = "another"
			return put(txn, adminKey(5), records[4])
		}, "record 6 "},
		"a record less":      {func(txn *badger.Txn, _ []AdminRecord) error { return txn.Delete(adminKey(5)) }, "record 5 "},
		"the first one less": {func(txn *badger.Txn, _ []AdminRecord) error { return txn.Delete(adminKey(1)) }, "record 1 "},
		"a changed last record": {func(txn *badger.Txn, records []AdminRecord) error {
			records[9].Outcome = "NO_TENANT"
			return put(txn, adminKey(10), records[9])
		}, "ends with record 10"},
		"the last one less": {func(txn *badger.Txn, _ []AdminRecord) error { return txn.Delete(adminKey(10)) }, "ends with record 9"},
		"one more":          {func(txn *badger.Txn, records []AdminRecord) error { return put(txn, adminKey(11), records[9]) }, "record 11 "},
		"two that changed places": {func(txn *badger.Txn, records []AdminRecord) error {
			return errors.Join(put(txn, adminKey(5), records[5]), put(txn, adminKey(6), records[4]))
		}, "record 5 "},
		"a record that is none": {func(txn *badger.Txn, _ []AdminRecord) error { return txn.Set(adminKey(5), []byte("{}")) }, "record 5 "},
	} {
		r := newRegistry(t)
		for i := range 10 {
			act(t, r, newAct(i))
		}
		records := adminLog(t, r, "", 0)
		check(t, r.update(func(txn *badger.Txn) error { return c.tamper(txn, records) }))
		if _, err := r.VerifyAdminLog(); err == nil || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: VerifyAdminLog = %v, want it to name %q", what, err, c.names)
		}
	}
}

// What had begun when the server stopped is in the log after the next start.
func TestActsThatDidNotEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := open(t, dir)
	act(t, r, newAct(0))
	for _, i := range []int{3, 2} {
		_, err := r.BeginAct(newAct(i))
		check(t, err)
	}
	check(t, r.Close())
	r = open(t, dir)
	defer r.Close()
	for _, want := range []int{2, 0} {
		if n, err := r.RecoverActs(); n != want || err != nil {
			t.Errorf("RecoverActs = %d, %v, want %d", n, err, want)
		}
	}
	records := adminLog(t, r, "", 0)
	if len(records) != 3 || records[1].Outcome != OutcomeUnknown || records[1].Subject != newAct(2).Subject || records[2].Subject != newAct(3).Subject {
		t.Errorf("the log is %+v", records)
	}
	if n, err := r.VerifyAdminLog(); n != 3 || err != nil {
		t.Errorf("VerifyAdminLog = %d, %v", n, err)
	}
}

func TestManyActsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			name, err := r.BeginAct(newAct(i))
			if err == nil {
				err = r.EndAct(name, newAct(i))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n, err := r.VerifyAdminLog(); n != 40 || err != nil {
		t.Errorf("VerifyAdminLog = %d, %v, want 40 records", n, err)
	}
	if n, err := r.RecoverActs(); n != 0 || err != nil {
		t.Errorf("%d acts did not end, %v", n, err)
	}
}

func TestTakeIn(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	c := Credential{Role: identity.OperatorRole("maria"), Serial: "ab", IssuedAt: at, End: at.Add(time.Hour), IssuedBy: "local"}
	for range 2 {
		check(t, r.TakeIn("one", newAct(1), &c))
	}
	check(t, r.TakeIn("two", newAct(2), nil))
	check(t, r.ForgetTaken("one"))
	if n, err := r.VerifyAdminLog(); n != 2 || err != nil {
		t.Errorf("VerifyAdminLog = %d, %v, want 2 records", n, err)
	}
	if got, err := r.Credentials(""); err != nil || !cmp.Equal(got, []Credential{c}) {
		t.Errorf("Credentials = %+v, %v", got, err)
	}
}

// The hash of a record is that of its line of JSON, keys in the order of the contract.
func TestAdminRecordForm(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(AdminRecord{7, newAct(1), strings.Repeat("0", 64)})
	check(t, err)
	want := `{"number":7,"time":"` + at.Add(time.Second).Format(time.RFC3339Nano) + `","who":"wolkvox://role/operator/maria","act":"CreateTenant",` +
		`"subject":"{\"tenant\":{\"name\":\"t1\"}}","reason":"\u003cbecause\u003e","outcome":"OK","tenant":"globex","previous":"` + strings.Repeat("0", 64) + `"}`
	if string(text) != want {
		t.Errorf("the record is\n%s, want\n%s", text, want)
	}
}
