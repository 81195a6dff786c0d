package door

import (
	"net"
	"testing"
	"time"
)

// What is waited for when somebody logs in has the time of those who are logged in.
func TestQuietAfterLogin(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	login := time.Now().Add(time.Second)
	reads := make(chan struct{}, 1)
	conn := &quietConn{Conn: tellingConn{here, reads}, until: login}
	read := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		read <- err
	}()
	<-reads
	conn.loggedIn(time.Minute)
	time.Sleep(time.Until(login) + 100*time.Millisecond)
	go there.Write([]byte("x"))
	if err := <-read; err != nil {
		t.Errorf("beyond the time for the login: %v", err)
	}
}

// tellingConn says when it is read from; the deadline is set by then.
type tellingConn struct {
	net.Conn
	reads chan<- struct{}
}

func (c tellingConn) Read(p []byte) (int, error) {
	c.reads <- struct{}{}
	return c.Conn.Read(p)
}
