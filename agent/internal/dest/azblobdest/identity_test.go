package azblobdest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/wolkvox/backup/agent/internal/dest"
)

const (
	entraTenant = "11111111-2222-3333-4444-555555555555"
	entraClient = "66666666-7777-8888-9999-000000000000"
	entraToken  = "a token"
)

// entra stands for Microsoft Entra and for the service that tells a virtual machine its identity. It answers at an address of
// its own whatever they are asked, and keeps what that was.
type entra struct {
	server  *httptest.Server
	refusal string // what it says instead of giving tokens

	mu   sync.Mutex
	seen []asked
}

// asked is a request as it came, and for whom it was.
type asked struct {
	url    *url.URL
	header http.Header
	method string
	form   url.Values
}

// forWhom is the header in which Do tells the server whom it stands for.
const forWhom = "X-Test-For"

func newEntra(t *testing.T) *entra {
	t.Helper()
	e := &entra{}
	e.server = httptest.NewServer(e)
	t.Cleanup(e.server.Close)
	return e
}

// Do implements policy.Transporter.
func (e *entra) Do(r *http.Request) (*http.Response, error) {
	to, err := url.Parse(e.server.URL)
	if err != nil {
		return nil, err
	}
	out := r.Clone(r.Context())
	out.Header.Set(forWhom, r.URL.Scheme+"://"+r.URL.Host)
	out.URL.Scheme, out.URL.Host = to.Scheme, to.Host
	return e.server.Client().Do(out)
}

func (e *entra) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	whom, _ := url.Parse(r.Header.Get(forWhom) + r.URL.RequestURI())
	e.mu.Lock()
	e.seen = append(e.seen, asked{url: whom, header: r.Header.Clone(), method: r.Method, form: form})
	e.mu.Unlock()
	authority := "https://login.microsoftonline.com/" + entraTenant
	answer := map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": entraToken}
	switch {
	case strings.HasSuffix(r.URL.Path, "/discovery/instance"):
		answer = map[string]any{"tenant_discovery_endpoint": authority + "/v2.0/.well-known/openid-configuration", "metadata": []any{map[string]any{
			"preferred_network": "login.microsoftonline.com", "preferred_cache": "login.windows.net", "aliases": []string{"login.microsoftonline.com"},
		}}}
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		answer = map[string]any{"issuer": authority + "/v2.0", "authorization_endpoint": authority + "/oauth2/v2.0/authorize", "token_endpoint": authority + "/oauth2/v2.0/token"}
	case r.URL.Path == "/metadata/identity/oauth2/token":
		answer["resource"], answer["expires_on"] = r.URL.Query().Get("resource"), fmt.Sprint(time.Now().Add(time.Hour).Unix())
		if r.Header.Get("Metadata") != "true" {
			w.WriteHeader(http.StatusBadRequest)
		}
	case e.refusal != "":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		answer = map[string]any{"error": "invalid_client", "error_description": e.refusal}
	}
	json.NewEncoder(w).Encode(answer)
}

// token returns what asked for a token last.
func (e *entra) token(t *testing.T) asked {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.seen) == 0 {
		t.Fatal("nobody asked for a token")
	}
	return e.seen[len(e.seen)-1]
}

// environment is a service principal, or nothing, in the environment.
func environment(t *testing.T, set map[string]string) {
	t.Helper()
	for _, line := range os.Environ() {
		name, _, _ := strings.Cut(line, "=")
		for _, prefix := range []string{"AZURE_", "IDENTITY_", "IMDS_", "MSI_"} {
			if strings.HasPrefix(name, prefix) {
				t.Setenv(name, "") // puts it back afterwards
				os.Unsetenv(name)
			}
		}
	}
	for name, value := range set {
		t.Setenv(name, value)
	}
}

// withIdentity is a client of a container at a service that speaks TLS and takes the token, and asks it something.
func withIdentity(t *testing.T, e *entra) (*handle, error) {
	t.Helper()
	service := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+entraToken || r.Header.Get("x-ms-version") < "2017-11-09" {
			t.Errorf("the service was asked with %v", r.Header)
		}
		w.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(service.Close)
	a := New(Options{Endpoint: service.URL, Container: "recordings", Identity: true})
	a.identity.transport = e
	client, err := a.login(service.URL+"/recordings", &container.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: service.Client()}})
	if err != nil {
		return nil, err
	}
	h := &handle{azblob: a, client: client}
	_, err = client.GetProperties(t.Context(), nil)
	return h, h.fail(t.Context(), "look at the container", err)
}

// TestEntraRequests compares what asks for tokens with Microsoft's reference: a service principal with a secret, with a
// certificate, a federated (workload) identity, and a managed identity. The token then goes to the service.
func TestEntraRequests(t *testing.T) {
	dir := t.TempDir()
	federated, certificate := filepath.Join(dir, "federated"), filepath.Join(dir, "certificate.pem")
	if err := os.WriteFile(federated, []byte("the platform's token"), 0o600); err != nil {
		t.Fatal(err)
	}
	writeCertificate(t, certificate)
	const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	for name, c := range map[string]struct {
		set  map[string]string
		form map[string]string // "*" for any value
	}{
		// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow, first case
		"secret": {map[string]string{"AZURE_CLIENT_SECRET": "a secret"}, map[string]string{"client_secret": "a secret"}},
		// second case
		"certificate": {map[string]string{"AZURE_CLIENT_CERTIFICATE_PATH": certificate}, map[string]string{"client_assertion_type": jwtBearer, "client_assertion": "*"}},
		// third case
		"federated": {map[string]string{"AZURE_FEDERATED_TOKEN_FILE": federated}, map[string]string{"client_assertion_type": jwtBearer, "client_assertion": "the platform's token"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.set["AZURE_TENANT_ID"], c.set["AZURE_CLIENT_ID"] = entraTenant, entraClient
			environment(t, c.set)
			e := newEntra(t)
			if _, err := withIdentity(t, e); err != nil {
				t.Fatal(err)
			}
			got := e.token(t)
			if want := "https://login.microsoftonline.com/" + entraTenant + "/oauth2/v2.0/token"; got.method != http.MethodPost || got.url.String() != want {
				t.Errorf("a token was asked for with %s %s, want POST %s", got.method, got.url, want)
			}
			if kind := got.header.Get("Content-Type"); !strings.HasPrefix(kind, "application/x-www-form-urlencoded") {
				t.Errorf("the form is %q", kind)
			}
			c.form["client_id"], c.form["grant_type"] = entraClient, "client_credentials"
			for name, want := range c.form {
				if has := got.form.Get(name); has != want && (want != "*" || has == "") {
					t.Errorf("%s is %q, want %q", name, has, want)
				}
			}
			if scopes := strings.Fields(got.form.Get("scope")); len(scopes) == 0 || scopes[0] != "https://storage.azure.com/.default" {
				t.Errorf("the scope is %q", scopes)
			}
			if name == "certificate" {
				checkAssertion(t, got.form.Get("client_assertion"), got.url.String())
			}
		})
	}
	// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
	t.Run("managed", func(t *testing.T) {
		environment(t, nil)
		e := newEntra(t)
		if _, err := withIdentity(t, e); err != nil {
			t.Fatal(err)
		}
		got := e.token(t)
		query := got.url.Query()
		if got.method != http.MethodGet || got.url.Scheme+"://"+got.url.Host+got.url.Path != "http://169.254.169.254/metadata/identity/oauth2/token" ||
			query.Get("api-version") != "2018-02-01" || query.Get("resource") != "https://storage.azure.com" || got.header.Get("Metadata") != "true" {
			t.Errorf("a token was asked for with %s %s, %v", got.method, got.url, got.header)
		}
	})
}

// checkAssertion compares what is signed with the certificate with
// https://learn.microsoft.com/entra/identity-platform/certificate-credentials.
func checkAssertion(t *testing.T, assertion, audience string) {
	t.Helper()
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		t.Fatalf("the assertion has %d parts", len(parts))
	}
	read := func(part string) (values map[string]any) {
		text, err := base64.RawURLEncoding.DecodeString(part)
		if err == nil {
			err = json.Unmarshal(text, &values)
		}
		if err != nil {
			t.Fatalf("%q: %v", part, err)
		}
		return values
	}
	header, claims := read(parts[0]), read(parts[1])
	if header["alg"] != "PS256" || header["typ"] != "JWT" || header["x5t#S256"] == nil {
		t.Errorf("the assertion's header is %v", header)
	}
	if claims["aud"] != audience || claims["iss"] != entraClient || claims["sub"] != entraClient || claims["exp"] == nil || claims["jti"] == nil {
		t.Errorf("the assertion claims %v", claims)
	}
}

func writeCertificate(t *testing.T, path string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "backup"}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	err = errors.Join(pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: private}), pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		os.WriteFile(path, text.Bytes(), 0o600))
	if err != nil {
		t.Fatal(err)
	}
}

// TestEntraRefuses: Microsoft Entra's code is handed out as it came, and it is asked once only.
func TestEntraRefuses(t *testing.T) {
	for _, code := range []string{"AADSTS7000222", "AADSTS700027", "AADSTS7000215", "AADSTS700016"} {
		environment(t, map[string]string{"AZURE_TENANT_ID": entraTenant, "AZURE_CLIENT_ID": entraClient, "AZURE_CLIENT_SECRET": "a secret"})
		e := newEntra(t)
		e.refusal = code + ": as documented."
		_, err := withIdentity(t, e)
		got, ok := errors.AsType[*dest.CodeError](err)
		if !ok || got.Space != dest.SpaceAzure || got.Name != code || got.Number != http.StatusUnauthorized {
			t.Errorf("the error is %v, want %s", err, code)
		}
		tries := 0
		for _, request := range e.seen {
			if strings.HasSuffix(request.url.Path, "/token") {
				tries++
			}
		}
		if tries != 1 {
			t.Errorf("%s: a token was asked for %d times", code, tries)
		}
	}
}
