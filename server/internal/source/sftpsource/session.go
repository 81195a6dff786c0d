package sftpsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// requestsAtOnce is how many requests of files' names, and blocks of files, are on their way over a connection at once. A block
// is several requests of the protocol.
const requestsAtOnce = 32

// keepaliveBytes is more than the answer to the question whether the server is there.
const keepaliveBytes = 1024

// session is one connection with SFTP, watched: one that is dead is closed, and whatever waits for it ends.
type session struct {
	ssh    *ssh.Client
	sftp   *sftp.Client
	conn   *watched
	timing timing

	users int // guarded by the host's lock, as is uses
	uses  int // how many times the last user left

	turns    chan struct{} // holds a token for every request on its way
	finished atomic.Int64  // when the last request came back, or the first one began: nanoseconds since 1970

	group   sync.WaitGroup // whatever belongs to the connection; it ends with it
	over    chan struct{}  // closed when the connection has ended
	mu      sync.Mutex
	failure error // why it was closed; nil where the other side did, or it is not
}

func (h *Host) newSession(conn *watched, client *ssh.Client) (*session, error) {
	files, err := sftp.NewClient(client)
	if err != nil {
		// The library's error says of a connection that broke meanwhile what it says of a server that refuses.
		_, _, broke := client.SendRequest("keepalive@openssh.com", true, nil)
		client.Close()
		if broke != nil {
			return nil, fmt.Errorf("the connection broke when SFTP was asked for: %w: %w", broke, err)
		}
		return nil, fmt.Errorf("the server has no SFTP for %s: %w", h.config.User, err)
	}
	s := &session{ssh: client, sftp: files, conn: conn, timing: h.timing, turns: make(chan struct{}, requestsAtOnce), over: make(chan struct{})}
	conn.came()
	s.group.Go(func() {
		files.Wait()
		client.Close()
		close(s.over)
	})
	s.group.Go(s.watch)
	return s, nil
}

// close ends the connection. It may be called more than once.
func (s *session) close() { s.lose(net.ErrClosed) }

func (s *session) lose(cause error) {
	s.mu.Lock()
	if s.failure == nil {
		s.failure = cause
	}
	s.mu.Unlock()
	s.conn.Close()
}

// ended reports whether the connection has ended.
func (s *session) ended() bool {
	select {
	case <-s.over:
		return true
	default:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.failure != nil
	}
}

// gone asks the server anything, and reports whether the connection turns out to have ended.
func (s *session) gone(ctx context.Context) bool {
	_, err := do(ctx, s, func() (string, error) { return s.sftp.RealPath(".") }, nil)
	return err != nil && s.ended()
}

// cause is why the connection has ended.
func (s *session) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return fmt.Errorf("the connection was closed: %w", s.failure)
	}
	return errors.New("the connection was lost")
}

// watch closes a connection that is dead, or whose SFTP does not answer. It ends with the connection.
func (s *session) watch() {
	tick := time.NewTicker(s.timing.keepalive)
	defer tick.Stop()
	var asking atomic.Bool
	var before int64
	for {
		select {
		case <-s.over:
			return
		case <-tick.C:
		}
		// A folder takes many answers. Those to the questions below are small.
		came := s.conn.bytes.Load()
		if came-before > keepaliveBytes {
			s.finished.Store(time.Now().UnixNano())
		}
		before = came
		if time.Since(s.conn.last()) > s.timing.silent {
			s.lose(fmt.Errorf("nothing came from the server for %v", s.timing.silent))
			return
		}
		if len(s.turns) > 0 && time.Since(time.Unix(0, s.finished.Load())) > s.timing.stalled {
			s.lose(fmt.Errorf("the server is there, but its SFTP has not answered for %v", s.timing.stalled))
			return
		}
		if !asking.Swap(true) {
			s.group.Go(func() {
				s.ssh.SendRequest("keepalive@openssh.com", true, nil)
				asking.Store(false)
			})
		}
	}
}

// do has one request made, and waits for it no longer than ctx lasts: requests cannot be taken back, so what comes
// afterwards is given to drop (nil for what needs none). An error of a connection that has ended says so.
func do[T any](ctx context.Context, s *session, request func() (T, error), drop func(T)) (result T, err error) {
	select {
	case s.turns <- struct{}{}:
	case <-ctx.Done():
		return result, context.Cause(ctx)
	case <-s.over:
		return result, s.cause()
	}
	if len(s.turns) == 1 {
		s.finished.Store(time.Now().UnixNano())
	}
	type answer struct {
		result T
		err    error
	}
	answered := make(chan answer, 1)
	s.group.Go(func() {
		result, err := request()
		if ctx.Err() == nil && !isAnswer(err) {
			s.lose(err)
		}
		s.finished.Store(time.Now().UnixNano())
		<-s.turns
		answered <- answer{result, err}
	})
	select {
	case a := <-answered:
		if a.err != nil && s.ended() {
			return result, s.cause()
		}
		return a.result, a.err
	case <-ctx.Done():
		s.group.Go(func() {
			if a := <-answered; a.err == nil && drop != nil {
				drop(a.result)
			}
		})
		return result, context.Cause(ctx)
	}
}

// isAnswer reports whether the server said so: whatever else goes wrong is the connection's fault.
func isAnswer(err error) bool {
	_, status := errors.AsType[*sftp.StatusError](err)
	return err == nil || status || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, io.EOF)
}

// watched notes what comes over a connection, and when.
type watched struct {
	net.Conn
	read  atomic.Int64 // when something last came: nanoseconds since 1970
	bytes atomic.Int64
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.came()
		w.bytes.Add(int64(n))
	}
	return n, err
}

func (w *watched) came()           { w.read.Store(time.Now().UnixNano()) }
func (w *watched) last() time.Time { return time.Unix(0, w.read.Load()) }
