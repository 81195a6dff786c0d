//go:build peers

package azblobdest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/azblobdest"
	"github.com/wolkvox/backup/internal/peertest/azurite"
	"github.com/wolkvox/backup/internal/peertest/cloudfault"
)

const origin = "wolkvox.com/backup/acme/nas/00112233445566778899aabbccddeeff"

// site is a container of its own behind a proxy.
type site struct {
	server    *azurite.Server
	proxy     *cloudfault.Proxy
	container string
	options   azblobdest.Options
}

var containers atomic.Int64

// newSite makes a new container.
func newSite(t *testing.T, server *azurite.Server) *site {
	t.Helper()
	s := &site{server: server, container: fmt.Sprintf("recordings-%d", containers.Add(1))}
	server.MakeContainer(t, s.container)
	s.proxy = cloudfault.Start(t, "http://"+server.Address)
	s.options = azblobdest.Options{
		Endpoint: server.EndpointAt(s.proxy.Address), Account: server.Account, Container: s.container, Prefix: "below/a prefix",
		Key: func() (string, error) { return server.Key, nil },
	}
	return s
}

// client is somebody else at the container.
func (s *site) client(t testing.TB) *container.Client {
	t.Helper()
	key, err := container.NewSharedKeyCredential(s.server.Account, s.server.Key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := container.NewClientWithSharedKeyCredential(s.server.Endpoint()+"/"+s.container, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (s *site) name(name string) string {
	if s.options.Prefix == "" {
		return name
	}
	return s.options.Prefix + "/" + name
}

// plant has somebody else write a blob.
func (s *site) plant(t testing.TB, name string, data []byte, metadata map[string]*string) {
	t.Helper()
	_, err := s.client(t).NewBlockBlobClient(s.name(name)).Upload(context.WithoutCancel(t.Context()), streaming.NopCloser(bytes.NewReader(data)), &blockblob.UploadOptions{Metadata: metadata})
	if err != nil {
		t.Fatal(err)
	}
}

// stored returns what somebody else reads under a name.
func (s *site) stored(t testing.TB, name string) []byte {
	t.Helper()
	answer, err := s.client(t).NewBlobClient(s.name(name)).DownloadStream(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (s *site) unplug() (plug func()) {
	s.proxy.Set(func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) })
	s.proxy.Cut()
	return func() { s.proxy.Set(nil) }
}

// store returns an initialised destination.
func (s *site) store(t testing.TB) *dest.Store {
	t.Helper()
	store, err := dest.New(azblobdest.New(s.options), "the container", origin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

func (s *site) sas() string { return s.server.SAS(time.Now().Add(time.Hour), "rwdlac") }

// kind names a request as the vendor's reference does.
func kind(r *http.Request) string {
	query := r.URL.Query()
	switch comp := query.Get("comp"); {
	case comp == "list":
		return "List Blobs"
	case comp == "block":
		return "Put Block"
	case comp == "blocklist":
		return "Put Block List"
	case query.Get("restype") == "container":
		return "Get Container Properties"
	case r.Method == http.MethodPut && r.Header.Get("x-ms-copy-source") != "":
		return "Copy Blob"
	case r.Method == http.MethodPut:
		return "Put Blob"
	case r.Method == http.MethodGet:
		return "Get Blob"
	case r.Method == http.MethodHead:
		return "Get Blob Properties"
	case r.Method == http.MethodDelete:
		return "Delete Blob"
	}
	return r.Method + " " + r.URL.RawQuery
}

func isProbe(r *http.Request) bool { return strings.Contains(r.URL.Path, "/.wolkvox/probe-") }
