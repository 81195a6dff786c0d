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
	conn := &quietConn{Conn: here, until: login}
	read := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		read <- err
	}()
	conn.loggedIn(time.Minute)
	time.Sleep(time.Until(login) + 100*time.Millisecond)
	if _, err := there.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if err := <-read; err != nil {
		t.Errorf("beyond the time for the login: %v", err)
	}
}
