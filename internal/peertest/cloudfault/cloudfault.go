// Package cloudfault is a proxy for tests that stands before a server of an object store. It answers requests as the vendor
// documents for what no emulator can be brought to, and passes all others to the server. It is no part of any program of this
// project, and it does not check signatures.
package cloudfault

import (
	"encoding/xml"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// Hook is asked about every request. It answers it itself, or has pass do it; it may change the request before, and wrap the
// ResponseWriter. A header that counts into the request's signature cannot be changed unnoticed. It is called from several
// goroutines at once.
type Hook func(w http.ResponseWriter, r *http.Request, pass http.Handler)

// Proxy is a running proxy. Its methods are safe for concurrent use.
type Proxy struct {
	Address  string // host:port
	Endpoint string // its URL

	hook   atomic.Pointer[Hook]
	server *httptest.Server
}

// Start starts a proxy before the server whose URL is target; without a hook it passes everything. Where the server does not
// answer, the connection breaks. It ends with the test.
func Start(t testing.TB, target string) *Proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // it is signed
			if r.In.Header.Get("User-Agent") == "" {
				r.Out.Header.Set("User-Agent", "")
			}
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	p := &Proxy{}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hook := p.hook.Load(); hook != nil {
			(*hook)(w, r, pass)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		p.server.CloseClientConnections()
		p.server.Close()
	})
	p.Endpoint = p.server.URL
	p.Address = strings.TrimPrefix(p.Endpoint, "http://")
	return p
}

// Set sets the hook for the requests that come from now on; nil passes everything.
func (p *Proxy) Set(hook Hook) {
	if hook == nil {
		p.hook.Store(nil)
		return
	}
	p.hook.Store(&hook)
}

// Cut breaks all connections to the proxy. New ones can be made.
func (p *Proxy) Cut() { p.server.CloseClientConnections() }

// S3Error answers with an error of the S3 API. A HEAD request gets the status alone, as S3 has it.
func S3Error(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	body, err := xml.Marshal(struct {
		XMLName       xml.Name `xml:"Error"`
		Code, Message string
		RequestID     string `xml:"RequestId"`
		HostID        string `xml:"HostId"`
	}{Code: code, Message: message, RequestID: "4442587FB7D0A2F9", HostID: "host"})
	if err != nil {
		panic(err) // four strings
	}
	w.Header().Set("x-amz-request-id", "4442587FB7D0A2F9")
	answer(w, r, status, append([]byte(xml.Header), body...))
}

// AzureError answers with an error of the Blob service. A HEAD request gets the code in its header alone.
func AzureError(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	body, err := xml.Marshal(struct {
		XMLName       xml.Name `xml:"Error"`
		Code, Message string
	}{Code: code, Message: message})
	if err != nil {
		panic(err) // two strings
	}
	w.Header().Set("x-ms-error-code", code)
	w.Header().Set("x-ms-request-id", "4442587f-0001-0000-0000-b7d0a2f90000")
	answer(w, r, status, append([]byte(xml.Header), body...))
}

func answer(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	io.Copy(io.Discard, r.Body) // so that the connection can be used again
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}
