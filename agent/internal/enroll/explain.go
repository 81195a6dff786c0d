package enroll

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/internal/join"
	"github.com/wolkvox/backup/internal/wire"
)

// Why enrolling does not go on. Each is wrapped in a sentence that names the thing and the remedy.
var (
	ErrTokenInvalid = errors.New("the join string is unknown to the server, or was already used")
	ErrTokenExpired = errors.New("the join string has expired")
	ErrIntercepted  = errors.New("the server is not the one that the join string names")
	ErrUnreachable  = errors.New("the server cannot be reached")
	ErrOtherTenant  = errors.New("this agent belongs to another tenant")
	ErrOtherServer  = errors.New("this agent belongs to another server")
	ErrAssigned     = errors.New("another agent serves the destination")
)

// explain says what the failure of the call means. cause is why the call's own time ended, nil if it did not.
func explain(err, cause error, j join.Join) error {
	message := status.Convert(err).Message()
	switch wire.Reason(err) {
	case wire.ReasonTokenInvalid:
		return fmt.Errorf("%w: it works once, on one machine: ask wolkvox for a new one for %s", ErrTokenInvalid, j.Origin)
	case wire.ReasonTokenExpired:
		return fmt.Errorf("%w, on %s: ask wolkvox for a new one for %s", ErrTokenExpired, j.ExpireTime.Format(time.RFC1123), j.Origin)
	case wire.ReasonDestinationAssigned:
		return fmt.Errorf("%w: %s: stop that one for good, or ask wolkvox for a destination of its own", ErrAssigned, message)
	case wire.ReasonOtherTenant:
		return fmt.Errorf("%w: %s", ErrOtherTenant, message)
	case "":
		return explainTransport(err, cause, j)
	}
	return fmt.Errorf("the server at %s refused: %s", j.Server, message)
}

// explainTransport says why there was no answer of the server's own.
func explainTransport(err, cause error, j join.Join) error {
	const remedy = "check the name, the port, the firewall and the proxy"
	switch code := status.Code(err); {
	case cause != nil:
		return fmt.Errorf("%w: %s: %w: %s", ErrUnreachable, j.Server, cause, remedy)
	case code == codes.Unavailable:
		return fmt.Errorf("%w: %s: %s: %s", ErrUnreachable, j.Server, status.Convert(err).Message(), remedy)
	}
	return fmt.Errorf("the server at %s gave no answer that can be understood: %w", j.Server, err)
}

// explainTLS says what was wrong with the certificate that the server presented.
func explainTLS(err error, j join.Join) error {
	if pin, ok := errors.AsType[*identity.PinError](err); ok {
		return fmt.Errorf("%w: %s presented a certificate issued by %q: something on the way opens the connection (have %s "+
			"excepted from TLS inspection), or the join string is of another server: %w", ErrIntercepted, j.Server, pin.Issuer, j.Server, err)
	}
	if host, ok := errors.AsType[x509.HostnameError](err); ok {
		names := host.Certificate.DNSNames
		for _, address := range host.Certificate.IPAddresses {
			names = append(names, address.String())
		}
		return fmt.Errorf("the server at %s is the right one, but is called %s: ask wolkvox for a join string with one of its names: %w",
			j.Server, strings.Join(names, ", "), err)
	}
	return fmt.Errorf("the certificate of the server at %s does not hold: %w", j.Server, err)
}
