package operator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/credential"
)

// CredentialVariable names the environment variable with the path of the credential file.
const CredentialVariable = "WOLKVOX_CREDENTIAL"

// installedCredential is where an installed server has its first operator's credential.
const installedCredential = "/var/lib/wolkvox-server/operator.pem"

// shortCall bounds the calls that the server answers from memory or its registry. What reads recordings or whole ledgers
// takes as long as it takes.
const shortCall = 30 * time.Second

// call runs f with a client of the server's AdminService.
func (a *app) call(ctx context.Context, f func(ctx context.Context, admin backupv1.AdminServiceClient) error) error {
	return a.connected(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		return f(ctx, backupv1.NewAdminServiceClient(conn))
	})
}

// connected runs f with a connection to the server.
func (a *app) connected(ctx context.Context, f func(ctx context.Context, conn *grpc.ClientConn) error) error {
	c, err := a.loadCredential()
	if err != nil {
		return err
	}
	address := c.Server
	if a.address != "" {
		address = a.address
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return usage("--server %q is not HOST:PORT", address)
	}
	if port == "0" {
		return usage("the credential names no port, because the server takes any that is free; give --server HOST:PORT, as the file `address` in its state_dir says")
	}
	reason, err := wire.FormatReason(a.reason)
	if err != nil {
		return usage("--reason: %w", err)
	}
	if reason != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, wire.ReasonHeader, reason)
	}
	own := ownTenant(c)
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithUnaryInterceptor(own.unary), grpc.WithStreamInterceptor(own.stream),
		grpc.WithTransportCredentials(credentials.NewTLS(identity.ClientConfig(c.Credential, host, time.Now))),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}),
	)
	if err != nil {
		return fmt.Errorf("call %s: %w", address, err)
	}
	defer conn.Close()
	return explained(f(ctx, conn), address)
}

// callShort is [app.call] for what is answered at once.
func (a *app) callShort(ctx context.Context, f func(ctx context.Context, admin backupv1.AdminServiceClient) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, shortCall, fmt.Errorf("no answer within %s", shortCall))
	defer cancel()
	return a.call(ctx, f)
}

// explained makes a person's message of a status.
func explained(err error, address string) error {
	s, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	reason := wire.Reason(err)
	switch {
	case reason != "":
		return fmt.Errorf("%s (%s)", s.Message(), reason)
	case s.Code() == codes.Unavailable:
		return fmt.Errorf("cannot reach the server at %s; is it running, and is the address right? %s", address, s.Message())
	case s.Code() == codes.DeadlineExceeded:
		return fmt.Errorf("the server at %s did not answer within %s", address, shortCall)
	case s.Code() == codes.Canceled:
		return errors.New("interrupted")
	}
	return errors.New(s.Message())
}

func (a *app) loadCredential() (credential.Credential, error) {
	path, err := a.credentialPath()
	if err != nil {
		return credential.Credential{}, err
	}
	c, err := credential.Load(path)
	if errors.Is(err, fs.ErrPermission) {
		return credential.Credential{}, fmt.Errorf("%w; run this as the user that the file belongs to", err)
	}
	if err != nil {
		return credential.Credential{}, err
	}
	if end := c.Certificate.Leaf.NotAfter; time.Now().After(end) {
		return credential.Credential{}, fmt.Errorf("the credential %s expired at %s; ask for a new one, which `wolkvox-server credential issue` makes, or for an operator `credential create` on the server itself",
			path, end.Format(time.RFC3339))
	}
	return c, nil
}

// credentialPath returns the path that the flag or the environment names, or else the first usual one that exists.
func (a *app) credentialPath() (string, error) {
	if a.credential != "" {
		return a.credential, nil
	}
	if path := os.Getenv(CredentialVariable); path != "" {
		return path, nil
	}
	usual := []string{installedCredential}
	if dir, err := os.UserConfigDir(); err == nil {
		usual = []string{filepath.Join(dir, "wolkvox", "operator.pem"), installedCredential}
	}
	for _, path := range usual {
		if _, err := os.Stat(path); err == nil || errors.Is(err, fs.ErrPermission) {
			return path, nil
		}
	}
	return "", usage("there is no credential file at %s; name yours with --credential or %s", strings.Join(usual, " or "), CredentialVariable)
}
