//go:build linux && peers

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wolkvox/backup/test/fleet"
)

// TestStateFillsUpInMidNight: another process fills the small volume of the agent's state to the last byte while a night
// runs, again and again, and gives it back. The agent says so, lives on, and ends the night.
func TestStateFillsUpInMidNight(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := mkdir(t, "state")
	mount(t, dir, "-t", "tmpfs", "-o", "size=64m", "tmpfs")
	f := fleet.New(t, fleet.Options{AgentState: filepath.Join(dir, "agent"), Agent: "heartbeat: 1s\n"})
	f.Agent.Start(t)
	filler := filepath.Join(dir, "filler")
	said := 0
	for round := range 6 {
		f.Record(t, uint64(round+1), 1500, 2, 2_000)
		f.Seal(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		ended := make(chan string, 1)
		go func() {
			complete, message, err := f.Agent.RunNow(ctx)
			ended <- fmt.Sprintf("complete %v: %s (%v)", complete, message, err)
		}()
		time.Sleep(time.Duration(random.IntN(600)) * time.Millisecond)
		fillUp(t, dir, filler)
		time.Sleep(time.Duration(200+random.IntN(800)) * time.Millisecond)
		status := f.Agent.Try(t, "status")
		if strings.Contains(status.Stdout+status.Stderr, "the volume of the agent's own state") {
			said++
		}
		if !f.Agent.Running() {
			t.Fatalf("round %d: the agent died of its full volume\n%s", round, fleet.Tail(f.Agent.Log))
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		t.Logf("round %d: %s", round, <-ended)
		cancel()
	}
	if said == 0 {
		t.Errorf("the agent never said that its volume is full\n%s", fleet.Tail(f.Agent.Log))
	}
	awaitAgreed(t, f)
	f.CheckComplete(t)
}

// TestServerStateFillsUp: the volume of the server's state is filled while nights are sealed and copied. The server says
// so, lives on, and goes on by itself.
func TestServerStateFillsUp(t *testing.T) {
	t.Parallel()
	dir := mkdir(t, "state")
	mount(t, dir, "-t", "tmpfs", "-o", "size=192m", "tmpfs")
	f := fleet.New(t, fleet.Options{ServerState: filepath.Join(dir, "server"), Agent: "heartbeat: 1s\n"})
	f.Agent.Start(t)
	filler := filepath.Join(dir, "filler")
	for round := range 3 {
		f.Record(t, uint64(round+1), 1500, 2, 2_000)
		f.Seal(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		ended := make(chan string, 1)
		go func() {
			complete, message, err := f.Agent.RunNow(ctx)
			ended <- fmt.Sprintf("complete %v: %s (%v)", complete, message, err)
		}()
		time.Sleep(300 * time.Millisecond)
		fillUp(t, dir, filler)
		f.Record(t, uint64(round+100), 100, 1, 2_000)
		expect(t, f.Server.Try(t, "seal", fleet.TenantName, "--wait"), "the volume of the server's state", "nothing is lost")
		if !f.Server.Running() {
			t.Fatalf("round %d: the server died of its full volume\n%s", round, fleet.Tail(f.Server.Log))
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		t.Logf("round %d: %s", round, <-ended)
		cancel()
		f.Seal(t)
	}
	awaitAgreed(t, f)
	f.CheckComplete(t)
}

// awaitAgreed has the running agent copy until everything wanted is confirmed, and both sides know of one agreed head.
func awaitAgreed(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		_, message, err := f.Agent.RunNow(t.Context())
		position, agreed := f.Server.Ledger(t, fleet.TenantName, fleet.DestinationName)
		if only := f.Agent.Only(t); int(only.Counts.Confirmed) == f.WantedCount() && position == agreed && only.Agreed == position {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not complete: %s, %v\n%v\n%s", message, err, f.Agent.Only(t), fleet.Tail(f.Agent.Log))
		}
	}
}

// fillUp takes every byte of a volume that is left.
func fillUp(t *testing.T, dir, filler string) {
	t.Helper()
	file, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	block := make([]byte, 1<<20)
	for size := len(block); size > 0; {
		n, err := file.Write(block[:size])
		if errors.Is(err, syscall.ENOSPC) {
			if n == 0 {
				size /= 2
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var free syscall.Statfs_t
	if err := syscall.Statfs(dir, &free); err != nil || free.Bavail > 1 {
		t.Fatalf("the volume has %d blocks left (%v)", free.Bavail, err)
	}
}
