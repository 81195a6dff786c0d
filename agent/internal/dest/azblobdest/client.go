package azblobdest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// How long is waited, and how often is tried again within one operation: short breaks are bridged here, longer ones are the
// matter of whoever calls.
const (
	dialTimeout   = 15 * time.Second
	silence       = time.Minute // without a byte in either direction
	idleTimeout   = 50 * time.Second
	retries       = 4
	firstDelay    = 200 * time.Millisecond
	longestDelay  = 15 * time.Second
	maxIdle       = 64
	handshakeTime = 20 * time.Second
)

// client makes a client with the credentials as they are now, and what closes its connections.
func (a *Azblob) client() (*container.Client, func(), error) {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dial, TLSHandshakeTimeout: handshakeTime,
		MaxIdleConns: maxIdle, MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: idleTimeout, DisableCompression: true,
	}
	options := &container.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport:        &http.Client{Transport: transport, CheckRedirect: noRedirect},
		Retry:            policy.RetryOptions{MaxRetries: retries, RetryDelay: firstDelay, MaxRetryDelay: longestDelay},
		Telemetry:        policy.TelemetryOptions{ApplicationID: "wolkvox-backup"},
		PerRetryPolicies: []policy.Policy{a.pace},
	}}
	at := strings.TrimSuffix(a.options.Endpoint, "/") + "/" + url.PathEscape(a.options.Container)
	client, err := a.login(at, options)
	if err != nil {
		transport.CloseIdleConnections()
		return nil, nil, err
	}
	return client, transport.CloseIdleConnections, nil
}

func (a *Azblob) login(at string, options *container.ClientOptions) (*container.Client, error) {
	switch o := a.options; {
	case o.Key != nil:
		key, err := o.Key()
		if err != nil {
			return nil, secretError(err)
		}
		credential, err := container.NewSharedKeyCredential(o.Account, key)
		if err != nil {
			return nil, secretError(errors.New("the account key is not base64, as the portal shows it"))
		}
		return container.NewClientWithSharedKeyCredential(at, credential, options)
	case o.SAS != nil:
		sas, err := o.SAS()
		if err != nil {
			return nil, secretError(err)
		}
		sas = strings.TrimPrefix(sas, "?")
		if values, err := url.ParseQuery(sas); err != nil || values.Get("sig") == "" {
			return nil, secretError(errors.New("the shared access signature has no sig, or is not as the portal shows it"))
		}
		client, err := container.NewClientWithNoCredential(at+"?"+sas, options)
		if err != nil {
			return nil, errors.New("make a client with a shared access signature") // the cause shows it
		}
		return client, nil
	}
	token, err := a.identity.token()
	if err != nil {
		return nil, err
	}
	return container.NewClient(at, token, options)
}

func secretError(err error) error {
	return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeSecret, Cause: err}
}

// noRedirect takes a redirection as an answer: credentials go to the configured endpoint only.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// dial makes connections that break when nothing has moved for a while.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &lively{conn}, nil
}

// lively is a connection whose deadline moves with every byte, so that a long upload is not cut and a dead line is.
type lively struct{ net.Conn }

func (c *lively) Read(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *lively) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
