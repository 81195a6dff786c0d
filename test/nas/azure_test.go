//go:build linux && peers

package nas

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/peertest/azurite"
	"github.com/wolkvox/backup/internal/peertest/cloudfault"
	"github.com/wolkvox/backup/test/fleet"
)

// Ways to log in to a container.
const (
	byKey       = "key"
	bySignature = "sas"
)

func azureDriver(login string) driver {
	return driver{"azure", func(t testing.TB, _ string) peer { return startAzure(t, login) }, "provider-md5", true, cases{
		killed:   said{"network", "network", ""},
		full:     said{"capacity", "client", "HTTP 507"},
		noInodes: cannotHappen,
		locked:   said{"credential", "client", "AuthenticationFailed"},
		readOnly: said{"permission", "client", "AuthorizationPermissionMismatch"},
		slow:     nothing,
		altered:  said{"integrity", "client", "READ_BACK"},
		cut:      said{"network", "network", ""},
	}}
}

// azureContainer is a container of Azurite, behind a proxy that answers as Azure does where Azurite does not.
type azureContainer struct {
	network
	*azurite.Server
	proxy *cloudfault.Proxy
	login string
	dead  bool

	mood atomic.Pointer[cloudfault.Hook]
	seen atomic.Pointer[azureWatch]
}

func startAzure(t testing.TB, login string) *azureContainer {
	t.Helper()
	p := &azureContainer{network: newNetwork(t), Server: azurite.Start(t, azurite.Options{}), login: login}
	p.proxy = cloudfault.Start(t, "http://"+p.Address)
	p.proxy.Set(p.serve)
	p.unlock(t)
	return p
}

func (p *azureContainer) where(address string) string {
	return fmt.Sprintf("  azure_blob:\n    account: %s\n    endpoint: %s\n    container: %s\n    %s: {file: %s}\n",
		p.Account, p.EndpointAt(or(address, p.proxy.Address)), p.Container, p.login, p.secret)
}

func (p *azureContainer) address() string { return p.proxy.Address }

func (p *azureContainer) kill() {
	p.dead = true
	p.Kill()
	p.proxy.Cut()
}

func (p *azureContainer) restart(t testing.TB) {
	p.Restart(t)
	p.dead = false
}

// lock changes the account's key. Azure's code for a wrong signature is not Azurite's.
func (p *azureContainer) lock(t testing.TB) {
	p.Key = azurite.NewKey()
	p.Restart(t)
	p.answer(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		got := asked(r, pass)
		if got.Header().Get("x-ms-error-code") == "AuthorizationFailure" {
			cloudfault.AzureError(w, r, http.StatusForbidden, "AuthenticationFailed",
				"Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.")
			return
		}
		handOut(w, got)
	})
}

func (p *azureContainer) unlock(t testing.TB) { p.sign(t, "rwdlac") }

// sign gives the agent the account's key, or a signature with these permissions.
func (p *azureContainer) sign(t testing.TB, permissions string) {
	secret := p.Key
	if p.login == bySignature {
		secret = p.SAS(time.Now().Add(time.Hour), permissions)
	}
	p.tell(t, []byte(secret+"\n"))
}

func (p *azureContainer) readOnly(t testing.TB, on bool) {
	if on {
		p.sign(t, "rl")
	} else {
		p.unlock(t)
	}
}

// fill answers as a store does that has no room: Azure documents no code for it.
func (p *azureContainer) fill(_ testing.TB, on bool) {
	if !on {
		p.answer(nil)
		return
	}
	p.answer(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodPut {
			cloudfault.AzureError(w, r, http.StatusInsufficientStorage, "", "")
			return
		}
		pass.ServeHTTP(w, r)
	})
}

// answer has the proxy ask hook from now on; nil passes everything.
func (p *azureContainer) answer(hook cloudfault.Hook) {
	if hook == nil {
		hook = func(w http.ResponseWriter, r *http.Request, pass http.Handler) { pass.ServeHTTP(w, r) }
	}
	p.mood.Store(&hook)
}

// serve is the proxy's hook: what is asked and answered is shown to the watch.
func (p *azureContainer) serve(w http.ResponseWriter, r *http.Request, pass http.Handler) {
	watch := p.seen.Load()
	name, ok := p.recording(r)
	if watch != nil && ok {
		body := &bytes.Buffer{}
		r.Body = io.NopCloser(io.TeeReader(r.Body, body))
		answer := &answered{ResponseWriter: w}
		defer func() { watch.saw(r, name, body.Bytes(), answer.status) }() // also where the agent is gone
		w = answer
	}
	if mood := p.mood.Load(); mood != nil {
		(*mood)(w, r, pass)
		return
	}
	pass.ServeHTTP(w, r)
}

// recording returns which recording a request is about.
func (p *azureContainer) recording(r *http.Request) (name string, ok bool) {
	name, ok = strings.CutPrefix(r.URL.Path, "/"+p.Account+"/"+p.Container+"/")
	return name, ok && !strings.HasPrefix(name, backup.OwnPrefix+"/")
}

// fetch has Azure's library for JavaScript fetch the whole container.
func (p *azureContainer) fetch(t testing.TB, folder string) bool {
	t.Helper()
	if p.dead {
		return false
	}
	library := filepath.Join("..", "..", "bin", "peers", "npm")
	r := fleet.Command(t.Context(), "node", "azure_fetch.mjs", library, p.Endpoint(), p.Account, p.Key, p.Container, folder)
	if r.Status != 0 {
		t.Fatal(r)
	}
	return true
}

func (p *azureContainer) watch(wanted func(path string) (sum string, ok bool)) watcher {
	w := &azureWatch{wanted: wanted, stored: map[string]bool{}}
	p.seen.Store(w)
	return w
}

// alter has somebody else replace the next recordings, each before the agent is told that it is stored.
func (p *azureContainer) alter(t testing.TB, count int) (stop func() int) {
	var mu sync.Mutex
	altered := map[string]bool{}
	p.answer(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		name, ok := p.recording(r)
		if !ok || r.Method != http.MethodPut {
			pass.ServeHTTP(w, r)
			return
		}
		body := &bytes.Buffer{}
		r.Body = io.NopCloser(io.TeeReader(r.Body, body))
		got := asked(r, pass)
		mu.Lock()
		if got.Code == http.StatusCreated && len(altered) < count && !altered[name] {
			altered[name] = true
			body.Bytes()[0] ^= 1
			p.Put(t, name, body.Bytes())
		}
		mu.Unlock()
		handOut(w, got)
	})
	return func() int {
		p.answer(nil)
		mu.Lock()
		defer mu.Unlock()
		return len(altered)
	}
}

// asked is what the server answers.
func asked(r *http.Request, pass http.Handler) *httptest.ResponseRecorder {
	got := httptest.NewRecorder()
	pass.ServeHTTP(got, r)
	return got
}

// handOut gives the agent what the server answered.
func handOut(w http.ResponseWriter, got *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), got.Header())
	w.WriteHeader(got.Code)
	w.Write(got.Body.Bytes())
}

// answered is a ResponseWriter that keeps the status.
type answered struct {
	http.ResponseWriter
	status int
}

func (a *answered) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }
