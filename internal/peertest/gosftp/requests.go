package gosftp

import (
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// Types of requests, draft-ietf-secsh-filexfer-02 section 3.
const (
	Init     = 1
	Version  = 2
	Open     = 3
	Close    = 4
	Read     = 5
	Write    = 6
	Lstat    = 7
	FStat    = 8
	OpenDir  = 11
	ReadDir  = 12
	Remove   = 13
	Mkdir    = 14
	Rmdir    = 15
	RealPath = 16
	Stat     = 17
	Rename   = 18
	Extended = 200
)

// Statuses, section 7 of the draft.
const (
	StatusNoSuchFile       = 2
	StatusPermissionDenied = 3
	StatusFailure          = 4
)

// Request is one request of a client.
type Request struct {
	Type   byte
	Path   string // the first path, or the handle; empty where there is none
	Target string // of [Rename], and of an [Extended] request with two paths
	Name   string // of an [Extended] request, such as "hardlink@openssh.com"
}

const maxPacketBytes = 1 << 20

// serveSFTP stands between the client and the library's server, and answers some requests itself.
func (s *Server) serveSFTP(channel ssh.Channel) {
	defer channel.Close()
	in, feed := io.Pipe()
	out := &answers{channel: channel, extensions: s.options.Extensions}
	server, err := sftp.NewServer(struct {
		io.Reader
		io.WriteCloser
	}{in, out}, sftp.WithServerWorkingDirectory(s.Dir))
	if err != nil {
		return
	}
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		server.Serve()
		in.Close()
		channel.Close()
	})
	defer feed.Close()
	for {
		packet := make([]byte, 4)
		if _, err := io.ReadFull(channel, packet); err != nil {
			return
		}
		length := binary.BigEndian.Uint32(packet)
		if length == 0 || length > maxPacketBytes {
			return
		}
		packet = append(packet, make([]byte, length)...)
		if _, err := io.ReadFull(channel, packet[4:]); err != nil {
			return
		}
		if status, answered := s.answer(packet[4:]); answered {
			if out.status(packet[5:9], status) != nil {
				return
			}
		} else if _, err := feed.Write(packet); err != nil {
			return
		}
	}
}

// answer decides about one request; body begins with its type.
func (s *Server) answer(body []byte) (status uint32, answered bool) {
	if body[0] == Init || len(body) < 5 {
		return 0, false
	}
	r := Request{Type: body[0]}
	rest := body[5:]
	if r.Type == Extended {
		r.Name, rest = text(rest)
	}
	r.Path, rest = text(rest)
	if r.Type == Rename || r.Type == Extended {
		r.Target, _ = text(rest)
	}
	if s.options.Answer != nil {
		if status, answered := s.options.Answer(r); answered {
			return status, true
		}
	}
	if r.Type == Rename && !s.options.Replaces {
		if _, err := os.Lstat(s.local(r.Target)); err == nil {
			return StatusFailure, true
		}
	}
	return 0, false
}

func (s *Server) local(name string) string {
	name = filepath.FromSlash(name)
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(s.Dir, name)
}

// text takes a string off b.
func text(b []byte) (string, []byte) {
	if len(b) < 4 || uint64(len(b)) < 4+uint64(binary.BigEndian.Uint32(b)) {
		return "", nil
	}
	n := binary.BigEndian.Uint32(b)
	return string(b[4 : 4+n]), b[4+n:]
}

// answers writes the server's answers to the client, whole ones, and has it offer other extensions than the library's.
type answers struct {
	channel    ssh.Channel
	extensions []string

	mu      sync.Mutex
	partial []byte // an answer that is not whole yet
	greeted bool
}

// Write takes what the library's server writes.
func (a *answers) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.partial = append(a.partial, p...)
	for len(a.partial) >= 4 {
		end := 4 + int(binary.BigEndian.Uint32(a.partial))
		if len(a.partial) < end {
			break
		}
		packet := a.partial[:end]
		if !a.greeted {
			a.greeted = true
			packet = offering(packet, a.extensions)
		}
		if _, err := a.channel.Write(packet); err != nil {
			return 0, err
		}
		a.partial = a.partial[end:]
	}
	return len(p), nil
}

// Close implements io.Closer.
func (a *answers) Close() error { return a.channel.Close() }

// status answers the request with this id.
func (a *answers) status(id []byte, status uint32) error {
	const statusType = 101
	body := append([]byte{statusType}, id...)
	body = binary.BigEndian.AppendUint32(body, status)
	for _, s := range []string{"as the test wants it", "en"} {
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(s))), s...)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, err := a.channel.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err
}

// offering returns the server's greeting with only those extensions that are in offered.
func offering(packet []byte, offered []string) []byte {
	const fixedBytes = 4 + 1 + 4 // length, type, version
	kept := slices.Clone(packet[:fixedBytes])
	for rest := packet[fixedBytes:]; len(rest) > 0; {
		name, after := text(rest)
		_, after = text(after)
		if slices.Contains(offered, name) {
			kept = append(kept, rest[:len(rest)-len(after)]...)
		}
		rest = after
	}
	binary.BigEndian.PutUint32(kept, uint32(len(kept)-4))
	return kept
}
