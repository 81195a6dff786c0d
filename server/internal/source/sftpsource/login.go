package sftpsource

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/source"
)

// hostKeyAlgorithms are those with which a server may prove itself (RFC 8709, 5656 and 8332). Certificates are not among
// them: what is pinned is a key. Nor is ssh-rsa, whose hash is SHA-1.
func hostKeyAlgorithms() []string {
	return []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
	}
}

// pin is the one host key that is taken.
type pin struct {
	fingerprint string // "SHA256:..."
	keyType     string // empty where only the fingerprint is known
}

func parsePin(text string) (pin, error) {
	text = strings.TrimSpace(text)
	if encoded, ok := strings.CutPrefix(text, "SHA256:"); ok {
		encoded = strings.TrimRight(encoded, "=")
		if sum, err := base64.RawStdEncoding.DecodeString(encoded); err != nil || len(sum) != 32 {
			return pin{}, fmt.Errorf("the host key %q is no fingerprint: give it as `ssh-keygen -lf` shows it", text)
		}
		return pin{fingerprint: "SHA256:" + encoded}, nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		return pin{}, fmt.Errorf("the host key %q is neither a public key, such as `ssh-ed25519 AAAA...`, nor a fingerprint, such as `SHA256:...`", text)
	}
	return pin{ssh.FingerprintSHA256(key), key.Type()}, nil
}

// algorithms returns those with which the pinned key can be proved.
func (p pin) algorithms() []string {
	if p.keyType == "" {
		return hostKeyAlgorithms()
	}
	return ofType(p.keyType)
}

func ofType(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("the address %q is not HOST:PORT", address)
	}
	return nil
}

// connect logs in to the server that has the pinned key. A server may have several keys and shows one of the kinds that it
// is asked for: where only a fingerprint is known, one kind after the other is asked for.
func (h *Host) connect(ctx context.Context) (*session, error) {
	methods, err := h.credentials()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", source.ErrRefused, err)
	}
	var shown []string
	for algorithms := h.pin.algorithms(); len(algorithms) > 0; {
		s, other, err := h.dial(ctx, algorithms, methods)
		switch {
		case other != nil:
		case !isNegotiation(err):
			return s, err
		case len(shown) == 0:
			return nil, fmt.Errorf("%w: the server has no host key of the pinned kind, or nothing else in common with this program: %w", source.ErrRefused, err)
		}
		if other == nil {
			break // it has no key of the other kinds
		}
		shown = append(shown, ssh.FingerprintSHA256(other)+" ("+other.Type()+")")
		algorithms = slices.DeleteFunc(algorithms, func(a string) bool { return slices.Contains(ofType(other.Type()), a) })
	}
	return nil, fmt.Errorf("%w: the server shows the host key %s, pinned is %s: somebody stands between, or the server got a new key; "+
		"ask its administrator, and add the source again with the new key if that is right", source.ErrRefused, strings.Join(shown, " and "), h.pin.fingerprint)
}

func isNegotiation(err error) bool {
	_, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err)
	return ok
}

// dial connects and logs in. Other is the key of a server that is not the pinned one; nothing secret was sent to it.
func (h *Host) dial(ctx context.Context, algorithms []string, methods []ssh.AuthMethod) (s *session, other ssh.PublicKey, err error) {
	dialer := net.Dialer{Timeout: h.timing.login}
	tcp, err := dialer.DialContext(ctx, "tcp", h.config.Address)
	if err != nil {
		return nil, nil, err
	}
	if err := tcp.SetDeadline(time.Now().Add(h.timing.login)); err != nil {
		return nil, nil, errors.Join(err, tcp.Close())
	}
	stop := context.AfterFunc(ctx, func() { tcp.Close() })
	defer stop()
	conn := &watched{Conn: tcp}
	proved := false
	client, channels, requests, err := ssh.NewClientConn(conn, h.config.Address, &ssh.ClientConfig{
		User: h.config.User, Auth: methods, HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if ssh.FingerprintSHA256(key) != h.pin.fingerprint {
				other = key
				return errors.New("another host key")
			}
			proved = true
			return nil
		},
	})
	if err != nil {
		tcp.Close()
		if proved && !lost(err) {
			err = fmt.Errorf("%w: the server does not let %s log in: %w: correct the key or password in its file, or what the server allows",
				source.ErrRefused, h.config.User, err)
		}
		return nil, other, err
	}
	s, err = h.newSession(conn, ssh.NewClient(client, channels, requests))
	if err == nil {
		err = tcp.SetDeadline(time.Time{})
		if err != nil {
			s.close()
		}
	}
	return s, nil, err
}

// lost reports whether an error is that of a connection, and not an answer.
func lost(err error) bool {
	_, ofNetwork := errors.AsType[net.Error](err)
	return ofNetwork || errors.Is(err, io.EOF)
}

// credentials reads the secrets.
func (h *Host) credentials() ([]ssh.AuthMethod, error) {
	if h.config.PasswordFile != "" {
		password, err := identity.ReadSecret(h.config.PasswordFile)
		if err != nil {
			return nil, err
		}
		answer := func(_, _ string, questions []string, echos []bool) ([]string, error) {
			if len(questions) == 0 {
				return nil, nil
			}
			if len(questions) > 1 || echos[0] {
				return nil, fmt.Errorf("the server asks %q, where only the password can be given", questions)
			}
			return []string{password}, nil
		}
		return []ssh.AuthMethod{ssh.Password(password), ssh.KeyboardInteractive(answer)}, nil
	}
	key, err := identity.ReadPrivate(h.config.KeyFile)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(key)
	if _, encrypted := errors.AsType[*ssh.PassphraseMissingError](err); encrypted && h.config.PassphraseFile != "" {
		passphrase, readErr := identity.ReadSecret(h.config.PassphraseFile)
		if readErr != nil {
			return nil, readErr
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(key, []byte(passphrase))
	}
	if err != nil {
		return nil, fmt.Errorf("the private key in %s cannot be used: %w", h.config.KeyFile, err)
	}
	return []ssh.AuthMethod{ssh.PublicKeys(signer)}, nil
}
