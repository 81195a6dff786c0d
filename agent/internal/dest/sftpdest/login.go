package sftpdest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// hostKeyAlgorithms are those with which a server may prove itself (RFC 8709, 5656 and 8332). Certificates are not among
// them: what is pinned is a key. Nor is ssh-rsa, whose hash is SHA-1.
var hostKeyAlgorithms = [...]string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

// pin is the one host key that is accepted.
type pin struct {
	fingerprint string // "SHA256:..."
	keyType     string // empty where only the fingerprint is known
}

func parsePin(text string) (pin, error) {
	text = strings.TrimSpace(text)
	if encoded, ok := strings.CutPrefix(text, "SHA256:"); ok {
		encoded = strings.TrimRight(encoded, "=")
		sum, err := base64.RawStdEncoding.DecodeString(encoded)
		if err != nil || len(sum) != 32 {
			return pin{}, fmt.Errorf("host key %q is no fingerprint: give it as `ssh-keygen -lf` shows it", text)
		}
		return pin{fingerprint: "SHA256:" + encoded}, nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		return pin{}, fmt.Errorf("host key %q is neither a public key, such as `ssh-ed25519 AAAA...`, nor a fingerprint, such as `SHA256:...`", text)
	}
	return pin{fingerprint: ssh.FingerprintSHA256(key), keyType: key.Type()}, nil
}

// ofType returns the algorithms that prove a key of this type.
func ofType(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// without returns algorithms without those of some.
func without(algorithms, some []string) []string {
	return slices.DeleteFunc(slices.Clone(algorithms), func(a string) bool { return slices.Contains(some, a) })
}

// otherKeyError says that the server showed a key that is not the pinned one.
type otherKeyError struct{ fingerprint, keyType string }

func (e *otherKeyError) Error() string {
	return fmt.Sprintf("the server shows the host key %s (%s)", e.fingerprint, e.keyType)
}

// connect makes a connection to the server that has the pinned key. A server may have several keys and shows the one of
// the kind that it is asked for: where only a fingerprint is known, one kind after the other is asked for; where the server
// has no key of the right kind, another is asked for, to tell what it shows.
func (s *SFTP) connect(ctx context.Context) (*line, error) {
	algorithms, known := hostKeyAlgorithms[:], s.pin.keyType != ""
	if known {
		algorithms = ofType(s.pin.keyType)
	} else if learnt := s.learnt.Load(); learnt != nil {
		algorithms, known = *learnt, true
	}
	var shown []string
	for {
		l, err := s.dial(ctx, algorithms)
		if err == nil {
			s.learnt.Store(&algorithms)
			return l, nil
		}
		if other, ok := errors.AsType[*otherKeyError](err); ok {
			shown = append(shown, fmt.Sprintf("%s (%s)", other.fingerprint, other.keyType))
			algorithms = without(algorithms, ofType(other.keyType))
		} else if _, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); !ok {
			return nil, err
		} else if known {
			known, algorithms = false, without(hostKeyAlgorithms[:], algorithms)
			continue
		} else if len(shown) == 0 {
			return nil, &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeUnsupported, Cause: err}
		} else {
			algorithms = nil
		}
		if known || len(algorithms) == 0 {
			s.learnt.Store(nil)
			return nil, &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeHostKey, Cause: fmt.Errorf(
				"the server shows the host key %s, expected is %s", strings.Join(shown, " and "), s.pin.fingerprint)}
		}
	}
}

// dial connects and logs in. A server with another key is an otherKeyError, before anything secret was sent.
func (s *SFTP) dial(ctx context.Context, algorithms []string) (*line, error) {
	who, err := s.credentials()
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: s.timing.login}
	tcp, err := dialer.DialContext(ctx, "tcp", s.options.Address)
	if err != nil {
		return nil, err
	}
	conn := &meteredConn{Conn: tcp}
	conn.answered()
	if err := tcp.SetDeadline(time.Now().Add(s.timing.login)); err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	defer context.AfterFunc(ctx, func() { tcp.Close() })()
	var other *otherKeyError
	var allowed []string // ways to log in, as the server said; nil before the login began
	config := ssh.ClientConfig{
		User: s.options.User,
		Auth: who,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if got := ssh.FingerprintSHA256(key); got != s.pin.fingerprint {
				other = &otherKeyError{fingerprint: got, keyType: key.Type()}
				return other
			}
			return nil
		},
		HostKeyAlgorithms: algorithms,
		AuthCallback: func(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
			allowed = append([]string{}, c.AllowedMethods...)
			return nil, nil
		},
	}
	client, channels, requests, err := ssh.NewClientConn(conn, s.options.Address, &config)
	switch {
	case err == nil:
		if err := tcp.SetDeadline(time.Time{}); err != nil {
			return nil, errors.Join(err, client.Close())
		}
		return newLine(conn, ssh.NewClient(client, channels, requests), s.timing), nil
	case other != nil:
		return nil, other
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeServerSilent,
			Cause: fmt.Errorf("log in: no answer within %v: %w", s.timing.login, err)}
	case !conn.speaksSSH():
		return nil, &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeWrongProtocol,
			Cause: fmt.Errorf("what answers at %s is no SSH server: %w", s.options.Address, err)}
	}
	err, disconnected := withReason(err)
	if allowed != nil && (disconnected || !conn.broken()) {
		err = &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeAuth, Cause: fmt.Errorf(
			"the server does not let %s log in; it takes %s: %w", s.options.User, strings.Join(allowed, ", "), err)}
	}
	return nil, err
}

// credentials reads the secrets.
func (s *SFTP) credentials() ([]ssh.AuthMethod, error) {
	var methods []ssh.AuthMethod
	secret := func(what string, err error) error {
		return &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeSecret, Cause: fmt.Errorf("%s: %w", what, err)}
	}
	if s.options.Key != nil {
		key, err := s.options.Key()
		if err != nil {
			return nil, secret("the private key", err)
		}
		signer, err := ssh.ParsePrivateKey(key)
		if _, encrypted := errors.AsType[*ssh.PassphraseMissingError](err); encrypted && s.options.KeyPassphrase != nil {
			passphrase, err := s.options.KeyPassphrase()
			if err != nil {
				return nil, secret("the private key's passphrase", err)
			}
			if signer, err = ssh.ParsePrivateKeyWithPassphrase(key, []byte(passphrase)); err != nil {
				return nil, secret("open the private key with its passphrase", err)
			}
		} else if err != nil {
			return nil, secret("the private key is not one that ssh-keygen writes, or needs a passphrase", err)
		}
		methods = append(methods, ssh.PublicKeys(signer))
	}
	if s.options.Password != nil {
		password, err := s.options.Password()
		if err != nil {
			return nil, secret("the password", err)
		}
		given := false
		methods = append(methods,
			ssh.PasswordCallback(func() (string, error) { given = true; return password, nil }),
			ssh.KeyboardInteractive(answerer(password, &given)))
	}
	return methods, nil
}

// answerer answers the one hidden question that a server may have in place of asking for the password. A password that was
// given before was refused; the server would count it as a second wrong one.
func answerer(password string, given *bool) ssh.KeyboardInteractiveChallenge {
	return func(_, _ string, questions []string, echos []bool) ([]string, error) {
		switch {
		case len(questions) == 0:
			return nil, nil
		case *given:
			return nil, fmt.Errorf("the password was refused, and the server asks %q", questions)
		case len(questions) > 1 || echos[0]:
			return nil, fmt.Errorf("the server asks %q, where only the password can be given", questions)
		}
		*given = true
		return []string{password}, nil
	}
}
