package uplink

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/url"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
)

// answering is a connection whose other side says the same whatever it hears.
type answering struct {
	net.Conn // for what connect does not call
	answer   io.Reader
}

func (c answering) Read(p []byte) (int, error)  { return c.answer.Read(p) }
func (c answering) Write(p []byte) (int, error) { return len(p), nil }
func (c answering) Close() error                { return nil }

// FuzzProxyAnswer opens a tunnel through proxies that answer anything: what is taken for a tunnel has swallowed nothing
// of what comes through it, and was opened by an answer of the kind 2xx.
func FuzzProxyAnswer(f *testing.F) {
	for _, answer := range []string{
		"HTTP/1.1 200 Connection established\r\n\r\n", "HTTP/1.0 200\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n\x16\x03\x01", "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		f.Add([]byte(answer))
	}
	proxy := &url.URL{Scheme: "http", Host: "proxy.example:3128", User: url.UserPassword("user", "secret")}
	f.Fuzz(func(t *testing.T, answer []byte) {
		reader := bytes.NewReader(answer)
		conn, err := connect(t.Context(), answering{answer: reader}, proxy, "server.example:443")
		if err != nil {
			if bytes.Contains([]byte(err.Error()), []byte("secret")) && !bytes.Contains(answer, []byte("secret")) {
				t.Errorf("the error %q says the password", err)
			}
			return
		}
		if conn == nil || reader.Len() != 0 || !bytes.HasPrefix(answer, []byte("HTTP/")) || !bytes.Contains(answer, []byte(" 2")) {
			t.Errorf("the answer %q opened a tunnel, with %d bytes of it not looked at", answer, reader.Len())
		}
	})
}

// FuzzOrder reads answers to heartbeats: an order that is taken is of this log and has a window within a day.
func FuzzOrder(f *testing.F) {
	encoded, err := proto.Marshal(goodOrder().GetDestinations()[0])
	check(f, err)
	f.Add(encoded)
	session := NewSession(nil, newLedger(f), func(context.Context) ([]byte, bool) { return nil, true }, func() error { return nil }, slog.New(slog.DiscardHandler))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		m := &backupv1.DestinationOrder{}
		if proto.Unmarshal(encoded, m) != nil {
			return
		}
		order, err := parseOrder(m, session, 0)
		if err != nil {
			return
		}
		w := order.Window
		if m.GetOrigin() != string(testOrigin) || w.Start < 0 || w.Start >= 24*time.Hour || w.End < 0 || w.End > 24*time.Hour || order.BytesPerSecond < 0 {
			t.Errorf("%v is taken as %+v", m, order)
		}
	})
}

// FuzzBatch gives an agent that has a log what a server may send next: unless it leads to a head that the server signed,
// the log stays as it is.
func FuzzBatch(f *testing.F) {
	h := newHistory(f, "")
	first := h.batch(0)
	h.append(ledger.Retired{Reason: ledger.RetiredMoved})
	second := h.batch(2)
	for _, batch := range []*backupv1.EntryBatch{first, second, {AfterSequence: 2, Entries: second.GetEntries()}, {AfterSequence: 2, Head: second.GetHead()}} {
		encoded, err := proto.Marshal(batch)
		check(f, err)
		f.Add(encoded)
	}
	size, root := h.log.Position()
	db, err := store.Open("", store.Options{InMemory: true})
	check(f, err)
	f.Cleanup(func() { db.Close() })
	f.Fuzz(func(t *testing.T, encoded []byte) {
		batch := &backupv1.EntryBatch{}
		if proto.Unmarshal(encoded, batch) != nil || hasSealed(batch) {
			return
		}
		log, err := db.Ledger(testOrigin)
		check(t, err)
		s := NewSession(nil, log, func(context.Context) ([]byte, bool) { return nil, true }, func() error { return nil }, slog.New(slog.DiscardHandler))
		if before, _ := log.Position(); before == 0 {
			check(t, s.apply(t.Context(), first))
		}
		before, _ := log.Position()
		err = s.apply(t.Context(), batch)
		after, now := log.Position()
		switch {
		case err != nil && after != before:
			t.Errorf("%v is refused, and the log has %d entries instead of %d: %v", batch, after, before, err)
		case after == size && now != root || after > size:
			t.Errorf("%v leads to another log of %d entries", batch, after)
		}
	})
}

// hasSealed reports whether a batch has an entry for which the agent would ask for a manifest.
func hasSealed(batch *backupv1.EntryBatch) bool {
	for _, leaf := range batch.GetEntries() {
		if entry, err := ledger.ParseEntry(leaf); err == nil && entry.Body.Kind() == ledger.KindSealed {
			return true
		}
	}
	return false
}
