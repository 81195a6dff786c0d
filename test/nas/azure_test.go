//go:build linux && peers

package nas

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/wolkvox/backup/internal/peertest/azurite"
	"github.com/wolkvox/backup/test/fleet"
)

// azureContainer is a container of Azurite, and where the agent finds its key.
type azureContainer struct {
	*azurite.Server
	secret string
}

func startAzure(t testing.TB) *azureContainer {
	t.Helper()
	p := &azureContainer{azurite.Start(t, azurite.Options{}), filepath.Join(t.TempDir(), "key")}
	p.tell(t)
	return p
}

// tell gives the agent the key that the container takes now.
func (p *azureContainer) tell(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(p.secret, []byte(p.Key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *azureContainer) where() string {
	return fmt.Sprintf("  azure_blob:\n    account: %s\n    endpoint: %s\n    container: %s\n    key: {file: %s}\n", p.Account, p.Endpoint(), p.Container, p.secret)
}

// fetch has Azure's library for JavaScript fetch the whole container into the folder that stands for the destination.
func (p *azureContainer) fetch(t testing.TB, folder string) {
	t.Helper()
	library := filepath.Join("..", "..", "bin", "peers", "npm")
	r := fleet.Command(t.Context(), "node", "azure_fetch.mjs", library, p.Endpoint(), p.Account, p.Key, p.Container, folder)
	if r.Status != 0 {
		t.Fatal(r)
	}
}

// TestAzureNight has a night of real recordings copied to a container, in the middle of which its key is changed and it is
// restarted. All is confirmed and agreed; another language's library fetches the files as they were; and the stand-alone
// verifier accepts what both sides export.
func TestAzureNight(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startAzure(t)
	f := fleet.New(t, fleet.Options{Destination: dir, Where: p.where()})
	count := copySounds(t, f)
	f.Seal(t)
	p.Key = azurite.NewKey()
	p.Restart(t)
	if r := f.Agent.Try(t, "run", "--once"); r.Status == 0 {
		t.Errorf("with a key that was changed: %v", r)
	}
	p.tell(t)
	f.Agent.Do(t, "run", "--once")
	f.Agent.Do(t, "status") // its exit status says that all is well
	p.fetch(t, dir)
	f.CheckComplete(t)
	if got := checkSums(t, f); got != count {
		t.Errorf("%d recordings are confirmed, want %d", got, count)
	}
	ofServer, ofAgent := filepath.Join(f.Dir, "of-server"), filepath.Join(f.Dir, "of-agent")
	f.Server.Do(t, "ledger", "export", fleet.TenantName, fleet.DestinationName, "--to", ofServer)
	f.Agent.Do(t, "ledger", "export", "--destination", fleet.DestinationName, "--to", ofAgent)
	for _, export := range []string{ofServer, ofAgent} {
		checkExport(t, f, export, count, "provider-md5")
	}
}
