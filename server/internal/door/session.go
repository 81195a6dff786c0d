package door

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/wolkvox/backup/server/internal/registry"
)

// channelsPerConnection is how many SFTP sessions one connection may have at once.
const channelsPerConnection = 4

// session is one connection that is logged in.
type session struct {
	door   *Door
	ctx    context.Context // of the connection; held because pkg/sftp passes none
	cancel context.CancelCauseFunc
	key    registry.DoorKey // that it was opened with
	from   string

	open atomic.Int64 // files and folders
}

// serve serves the channels of a connection until it ends.
func (s *session) serve(channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { ssh.DiscardRequests(requests) }) // no forwarding: every request is refused
	places := make(chan struct{}, channelsPerConnection)
	for asked := range channels {
		if asked.ChannelType() != "session" {
			asked.Reject(ssh.Prohibited, "there is nothing here but sftp")
			continue
		}
		select {
		case places <- struct{}{}:
		default:
			asked.Reject(ssh.ResourceShortage, "this connection has too many channels")
			continue
		}
		channel, wanted, err := asked.Accept()
		if err != nil {
			<-places
			continue
		}
		group.Go(func() {
			s.serveChannel(channel, wanted)
			<-places
			ssh.DiscardRequests(wanted) // what comes late would keep the connection waiting
		})
	}
}

// serveChannel answers the requests of a channel, of which it takes none but the subsystem sftp, and that one once. It ends
// with the first other request that wants to start something.
func (s *session) serveChannel(channel ssh.Channel, requests <-chan *ssh.Request) {
	var serving sync.WaitGroup
	defer serving.Wait()
	defer channel.Close()
	started := false
	for request := range requests {
		good := request.Type == "subsystem" && !started && isSFTP(request.Payload)
		if request.WantReply {
			if err := request.Reply(good, nil); err != nil {
				return
			}
		}
		switch {
		case good:
			started = true
			serving.Go(func() {
				s.serveSFTP(channel)
				channel.Close()
			})
		case request.Type == "shell", request.Type == "exec", request.Type == "subsystem":
			return
		}
	}
}

func isSFTP(payload []byte) bool {
	var subsystem struct{ Name string }
	return ssh.Unmarshal(payload, &subsystem) == nil && subsystem.Name == "sftp"
}

// serveSFTP speaks SFTP until the client has enough. The exit status is what OpenSSH's own server gives.
func (s *session) serveSFTP(channel ssh.Channel) {
	h := handlers{s}
	server := sftp.NewRequestServer(channel, sftp.Handlers{FileGet: h, FilePut: h, FileCmd: h, FileList: h})
	status := uint32(0)
	if err := server.Serve(); err != nil && !errors.Is(err, io.EOF) {
		status = 1
	}
	channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
}

// take counts one more open file or folder, unless it is one too many.
func (s *session) take() error {
	if s.open.Add(1) > int64(s.door.Limits.FilesPerConnection) {
		s.open.Add(-1)
		return errTooManyOpen
	}
	return nil
}

func (s *session) release() { s.open.Add(-1) }
