package azblobdest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// identity is who this machine is to Microsoft Entra. It keeps its tokens as long as the process lives.
type identity struct {
	transport policy.Transporter // to Microsoft Entra and the machine's own service; nil for the library's

	mu    sync.Mutex
	found azcore.TokenCredential // nil before the first use
}

func (i *identity) token() (azcore.TokenCredential, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.found == nil {
		found, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: azcore.ClientOptions{Transport: i.transport}})
		if err != nil {
			return nil, &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeAuth, Cause: fmt.Errorf("find an identity of Microsoft Entra: %w", err)}
		}
		i.found = marked{found}
	}
	return i.found, nil
}

// marked is a credential whose errors can be told from those of the blob service.
type marked struct{ azcore.TokenCredential }

// GetToken implements azcore.TokenCredential.
func (m marked) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := m.TokenCredential.GetToken(ctx, o)
	if err != nil {
		return token, &tokenError{err}
	}
	return token, nil
}

// tokenError says that there is no token.
type tokenError struct{ cause error }

func (e *tokenError) Error() string { return e.cause.Error() }

// NonRetriable keeps the client from asking again at once: accounts are locked after too many tries.
func (e *tokenError) NonRetriable() {}

// entraCode is how Microsoft Entra names its codes, in its words alone.
var entraCode = regexp.MustCompile(`AADSTS[0-9]+`)

// fail is the error that callers understand.
func (e *tokenError) fail(h *handle, what string) error {
	if request, ok := errors.AsType[*url.Error](e.cause); ok {
		return &dest.UnreachableError{Place: h.azblob.place(), Cause: fmt.Errorf("%s: ask Microsoft Entra for a token: %w", what, request.Err)}
	}
	failed, answered := errors.AsType[*azidentity.AuthenticationFailedError](e.cause)
	if code := entraCode.FindString(e.cause.Error()); code != "" {
		status := 0
		if answered && failed.RawResponse != nil {
			status = failed.RawResponse.StatusCode
		}
		return &dest.CodeError{Space: dest.SpaceAzure, Name: code, Number: int64(status), Cause: fmt.Errorf("%s: Microsoft Entra gave no token", what)}
	}
	return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeAuth, Cause: fmt.Errorf("%s: no identity of Microsoft Entra was found: %w", what, e)}
}
