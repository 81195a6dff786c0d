package door

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/wolkvox/backup/server/internal/registry"
)

// maxAuthTries is how many keys a client may offer: agents such as Pageant offer all that they have, one by one.
const maxAuthTries = 6

// errRefused is all that a client hears of why it was not let in: names of tenants cannot be found out.
var errRefused = errors.New("this key is not let in under this name")

// attempt is one connection on its way to a login. ssh calls it from one goroutine.
type attempt struct {
	door        *Door
	ctx         context.Context // of the connection; held because ssh passes none
	user        string
	fingerprint string // the last key that was offered; empty where none was
	cause       error  // why it was refused
}

// config returns what the handshake obeys. Only algorithms without known weaknesses are left; all clients of the last
// years have them (WinSCP since 5.20, OpenSSH since 7.2).
func (a *attempt) config() *ssh.ServerConfig {
	c := &ssh.ServerConfig{
		Config: ssh.Config{
			KeyExchanges: []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519, ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521},
			Ciphers:      []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES256CTR},
			MACs:         []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM},
		},
		PublicKeyAuthAlgorithms: []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512},
		MaxAuthTries:            maxAuthTries,
		ServerVersion:           "SSH-2.0-wolkvox",
		PublicKeyCallback:       a.judge,
	}
	c.AddHostKey(a.door.HostKey.signer)
	return c
}

// fingerprintExtension is where the permissions of a login say by which key it was made.
const fingerprintExtension = "fingerprint"

// judge says whether a key may be let in. A client may ask so for many keys without holding them; only the
// permissions of the connection say which key it holds.
func (a *attempt) judge(meta ssh.ConnMetadata, public ssh.PublicKey) (*ssh.Permissions, error) {
	a.user, a.fingerprint = meta.User(), ssh.FingerprintSHA256(public)
	err := checkKey(public)
	if err == nil {
		_, err = a.door.keyOf(a.user, a.fingerprint, time.Now())
	}
	if err != nil {
		a.cause = err
		return nil, errRefused
	}
	return &ssh.Permissions{Extensions: map[string]string{fingerprintExtension: a.fingerprint}}, nil
}

// receive has somebody log in and serves him until the connection ends.
func (d *Door) receive(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	quiet := &quietConn{Conn: conn, until: time.Now().Add(d.Limits.LoginTimeout)}
	a := &attempt{door: d, ctx: ctx}
	logged, channels, requests, err := ssh.NewServerConn(quiet, a.config())
	d.counts.shaken(err == nil)
	if err != nil {
		d.refused(a, conn.RemoteAddr(), err)
		return
	}
	defer logged.Close()
	quiet.loggedIn(d.Limits.IdleTimeout)
	s := &session{
		door: d, ctx: ctx, cancel: cancel, from: conn.RemoteAddr().String(),
		key: registry.DoorKey{Tenant: logged.User(), Fingerprint: logged.Permissions.Extensions[fingerprintExtension]},
	}
	id := idOf(s.key)
	if err := d.counts.login(id); err != nil {
		d.Logger.LogAttrs(ctx, slog.LevelWarn, "door did not let somebody in", slog.String("tenant", id.tenant),
			slog.String("fingerprint", id.fingerprint), slog.String("from", s.from), slog.Any("error", err))
		return
	}
	defer d.counts.logout(id)
	defer d.leave(s)
	if err := d.enter(s); err != nil {
		a.user, a.fingerprint, a.cause = id.tenant, id.fingerprint, err
		d.refused(a, conn.RemoteAddr(), err)
		return
	}
	expiry := time.AfterFunc(time.Until(s.key.End), func() { cancel(errKeyExpired) })
	defer expiry.Stop()
	d.records.login(ctx, id.tenant, registry.OutcomeOK, loginSubject{User: id.tenant, Fingerprint: id.fingerprint, Comment: s.key.Comment, From: s.from})
	d.Logger.LogAttrs(ctx, slog.LevelInfo, "somebody came in at the door", slog.String("tenant", id.tenant), slog.String("fingerprint", id.fingerprint), slog.String("from", s.from))
	s.serve(channels, requests)
	d.Logger.LogAttrs(ctx, slog.LevelInfo, "somebody left the door", slog.String("tenant", id.tenant), slog.String("fingerprint", id.fingerprint),
		slog.String("from", s.from), slog.Any("cause", context.Cause(ctx)))
}

// refused takes down that somebody was not let in. Whoever offered no key was only looking.
func (d *Door) refused(a *attempt, from net.Addr, err error) {
	if a.fingerprint == "" || a.ctx.Err() != nil {
		d.Logger.LogAttrs(a.ctx, slog.LevelDebug, "connection at the door ended before a login", slog.String("from", from.String()), slog.Any("error", err))
		return
	}
	cause := a.cause
	if cause == nil {
		cause = err
	}
	d.Logger.LogAttrs(a.ctx, slog.LevelWarn, "login at the door refused", slog.String("user", shown(a.user)),
		slog.String("fingerprint", a.fingerprint), slog.String("from", from.String()), slog.Any("error", cause))
	tenant := ""
	if _, err := d.Registry.Tenant(a.user); err == nil {
		tenant = a.user
	}
	d.records.login(a.ctx, tenant, outcomeRefused, loginSubject{User: a.user, Fingerprint: a.fingerprint, From: from.String(), Cause: cause.Error()})
}
