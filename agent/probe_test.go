package agent

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/internal/identity"
)

// resigning is an HTTP proxy that opens TLS with certificates of its own.
func resigning(t *testing.T) (address string) {
	t.Helper()
	authority, err := identity.NewAuthority(time.Now())
	check(t, err)
	cert, err := authority.ServerCertificate(t.TempDir(), []string{"127.0.0.1"}, time.Now())
	check(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				conn.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
				tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}}).Handshake()
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return listener.Addr().String()
}

// checkOf opens an agent, initialises its destination, checks it and returns the report.
func checkOf(t *testing.T, o Options) (*Agent, backup.CheckReport) {
	t.Helper()
	dir := o.Config.Destinations[0].Directory
	check(t, os.MkdirAll(dir, 0o755))
	a, err := Open(o)
	check(t, err)
	t.Cleanup(func() { check(t, a.Close()) })
	d := a.destinations[0]
	_, err = d.store.Init(t.Context())
	check(t, err)
	report, err := d.probe.Run(t.Context(), func(backup.CheckLine) {})
	check(t, err)
	return a, report
}

// TestCheck looks at a destination and at the server, and the next heartbeat says what was not good.
func TestCheck(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, report := checkOf(t, s.enrolled(t, "nas"))
	if report.Worst == backup.CheckBad {
		t.Errorf("%+v", report)
	}
	if off := time.Until(report.At); off.Abs() > time.Minute {
		t.Errorf("it is dated %v off", off)
	}
	check(t, os.RemoveAll(a.options.Config.Destinations[0].Directory))
	report, err := a.destinations[0].probe.Run(t.Context(), func(backup.CheckLine) {})
	check(t, err)
	check(t, a.heartbeat(t.Context()))
	beat := s.beats[len(s.beats)-1].GetDestinations()[0].GetCheck()
	if report.Worst != backup.CheckBad || backup.CheckVerdict(beat.GetVerdict()) != report.Worst || !beat.GetCheckTime().AsTime().Equal(report.At) ||
		beat.GetLines()[0].GetSubject() != "path" || beat.GetLines()[0].GetCode() != "ENOENT" {
		t.Errorf("the heartbeat says %v of %+v", beat, report)
	}
}

// TestCheckServer says why the server is not reached.
func TestCheckServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	check(t, closed.Close())
	for name, test := range map[string]struct{ proxy, code, words string }{
		"a proxy that re-signs TLS": {resigning(t), "TLS_INTERCEPTED", "TLS inspection"},
		"a proxy that is not there": {closed.Addr().String(), "UNREACHABLE", "reach the proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := s.enrolled(t, "nas")
			o.Config.Proxy = "http://" + test.proxy
			_, report := checkOf(t, o)
			for _, line := range report.Lines {
				if (line.Verdict == backup.CheckBad) != (line.Subject == "server") {
					t.Errorf("%+v", line)
				}
				if line.Subject == "server" && (line.Code != test.code || !strings.Contains(line.Message, test.words) || !strings.Contains(line.Message, test.proxy)) {
					t.Errorf("%+v, want %s and %q", line, test.code, test.words)
				}
			}
		})
	}
}
