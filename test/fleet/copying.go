//go:build linux && peers

package fleet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Patience bounds what takes a moment on an idle machine.
const Patience = 2 * time.Minute

// Await returns when something is so, and fails the test where that is not within [Patience].
func Await(t testing.TB, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in %v it did not come to this: %s", Patience, what)
		}
	}
}

// Outcome is how a pass ended.
type Outcome struct {
	Complete bool
	Message  string
	Err      error // of asking for the pass
}

// String implements fmt.Stringer.
func (o Outcome) String() string {
	return fmt.Sprintf("complete %v: %s (%v)", o.Complete, o.Message, o.Err)
}

// Copy has the running service copy what is pending, as if a person had asked for it, within [Patience].
func (f *Fleet) Copy(ctx context.Context) (o Outcome) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	o.Complete, o.Message, o.Err = f.Agent.RunNow(ctx)
	return o
}

// CopyAll has the running service copy over a line without a limit until all is confirmed, and makes sure that the
// destination is not left alone then.
func (f *Fleet) CopyAll(t testing.TB) {
	t.Helper()
	f.Line.Slow(0)
	for deadline := time.Now().Add(Patience); ; time.Sleep(50 * time.Millisecond) {
		o := f.Copy(t.Context())
		if o.Complete {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not complete after %v: %v\n%v\n%s", Patience, o, f.Agent.Only(t), Tail(f.Agent.Log))
		}
	}
	if only := f.Agent.Only(t); only.Circuit != nil {
		t.Errorf("all is copied, and the destination is still left alone because of %+v", only.Circuit.Fault)
	}
}

// CheckStored has sha256sum compare what is confirmed with what lies at the destination.
func (f *Fleet) CheckStored(t testing.TB, confirmed []Item) {
	t.Helper()
	var list strings.Builder
	for _, item := range confirmed {
		sum, ok := f.Wanted(item.Path)
		if !ok {
			t.Errorf("%s is confirmed, and was never recorded", item.Path)
		}
		fmt.Fprintf(&list, "%s  %s\n", sum, item.Path)
	}
	name := filepath.Join(t.TempDir(), "sums")
	if err := os.WriteFile(name, []byte(list.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r := Command(t.Context(), "env", "-C", f.Destination, "sha256sum", "--check", "--strict", "--quiet", name)
	if r.Status != 0 {
		t.Errorf("what is confirmed is not stored as it must be: %v", r)
	}
}

// Fingerprints returns the stand-alone verifier's flags for the keys that enrolling told people to write down.
func (f *Fleet) Fingerprints(t testing.TB) (flags []string) {
	t.Helper()
	for line := range strings.Lines(f.Enrolled) {
		if words := strings.Fields(line); len(words) == 2 && len(words[1]) == 64 {
			flags = append(flags, "--"+words[0]+"-fingerprint", words[1])
		}
	}
	if len(flags) != 4 {
		t.Fatalf("enrolling printed no two fingerprints:\n%s", f.Enrolled)
	}
	return flags
}
