package alerts

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/smtp"
	"time"

	"github.com/wolkvox/backup/internal/identity"
)

// errNoServer says that no mail can be sent at all now, whoever it is for.
var errNoServer = errors.New("the mail server does not take mail")

// Mailer is a server that takes mail, always over TLS.
type Mailer struct {
	Address      string // HOST:PORT
	From         string
	User         string // empty to send without logging in
	PasswordFile string
	CAFile       string // trusted instead of the system's authorities; may be empty
	ImplicitTLS  bool   // TLS begins at once, and not with STARTTLS
}

// send has the server take a message for an address. A nil error says that it did. Errors before the address was named are
// [errNoServer].
func (m *Mailer) send(ctx context.Context, to string, message Message) error {
	client, stop, err := m.connect(ctx)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errNoServer, m.Address, err)
	}
	defer stop()
	defer client.Close()
	if err := client.Mail(m.From); err != nil {
		return fmt.Errorf("%w: %s: %w", errNoServer, m.Address, err)
	}
	if err := client.Rcpt(to); err != nil {
		return fmt.Errorf("mail to %s: %w", to, err)
	}
	w, err := client.Data()
	if err == nil {
		_, err = w.Write(m.text(to, message))
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return fmt.Errorf("mail to %s: %w", to, err)
	}
	_ = client.Quit() // the message was taken, whatever the server says to this
	return nil
}

// connect returns a connection that is encrypted and logged in; it ends with ctx until stop was called.
func (m *Mailer) connect(ctx context.Context) (client *smtp.Client, stop func() bool, err error) {
	dialer := net.Dialer{Timeout: sendTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", m.Address)
	if err != nil {
		return nil, nil, err
	}
	stop = context.AfterFunc(ctx, func() { conn.Close() })
	if err = conn.SetDeadline(time.Now().Add(sendTimeout)); err == nil {
		client, err = m.logIn(conn)
	}
	if err != nil {
		stop()
		conn.Close()
		return nil, nil, err
	}
	return client, stop, nil
}

func (m *Mailer) logIn(conn net.Conn) (*smtp.Client, error) {
	host, port, err := net.SplitHostPort(m.Address)
	if err != nil {
		return nil, err
	}
	config, err := tlsConfig(m.CAFile, host)
	if err != nil {
		return nil, err
	}
	implicit := m.ImplicitTLS || port == "465"
	if implicit {
		conn = tls.Client(conn, config)
	}
	client, err := smtp.NewClient(conn, host)
	if err != nil {
		return nil, err
	}
	if !implicit {
		if err := client.StartTLS(config); err != nil {
			return nil, fmt.Errorf("STARTTLS: %w", err)
		}
	}
	if m.User == "" {
		return client, nil
	}
	password, err := identity.ReadSecret(m.PasswordFile)
	if err != nil {
		return nil, err
	}
	if err := client.Auth(smtp.PlainAuth("", m.User, password, host)); err != nil {
		return nil, fmt.Errorf("log in as %s: %w", m.User, err)
	}
	return client, nil
}

// text returns a message as RFC 5322 has it.
func (m *Mailer) text(to string, message Message) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@wolkvox-backup>\r\n", m.From, to,
		mime.QEncoding.Encode("utf-8", message.Subject), message.MadeAt.Format(time.RFC1123Z), message.ID)
	b.WriteString("Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(&b)
	w.Write([]byte(message.Text)) // a buffer takes everything
	w.Close()
	return b.Bytes()
}
