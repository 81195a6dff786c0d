package rsyncdest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/rsyncdest"
)

// script writes a program that stands for rsync.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rsync")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func isCode(err error, name string) bool {
	code, ok := errors.AsType[*dest.CodeError](err)
	return ok && code.Space == dest.SpaceDriver && code.Name == name
}

func TestVersion(t *testing.T) {
	t.Parallel()
	good := script(t, `[ "$1" = --version ] && echo 'rsync  version 3.2.7  protocol version 31'`)
	version, err := rsyncdest.New(rsyncdest.Options{Program: good}).Version(t.Context())
	if err != nil || version.String() != "3.2.7" || !version.Less(rsyncdest.Version{Major: 3, Minor: 5}) {
		t.Errorf("Version = %v, %v", version, err)
	}
	for what, program := range map[string]string{"absent": "/absent/rsync", "another": script(t, "echo openrsync"), "broken": script(t, "exit 1")} {
		if _, err := rsyncdest.New(rsyncdest.Options{Program: program}).Version(t.Context()); !isCode(err, dest.CodeProgram) || errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s program: %v, want %s", what, err, dest.CodeProgram)
		}
	}
}

// TestCancelledKillsAll: the processes that rsync started go with it.
func TestCancelledKillsAll(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "pid")
	program := script(t, fmt.Sprintf("sleep 1000 &\necho $! >'%s.new'\nmv '%s.new' '%s'\nwait", pidFile, pidFile, pidFile))
	opener := rsyncdest.New(rsyncdest.Options{Address: "127.0.0.1:1", Module: "m", Program: program, Spool: t.TempDir()})
	cause := errors.New("the window has ended")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error)
	go func() {
		_, err := opener.Open(ctx)
		ended <- err
	}()
	var pid int
	for pid == 0 {
		text, err := os.ReadFile(pidFile)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		if err != nil {
			time.Sleep(5 * time.Millisecond)
		}
	}
	cancel(cause)
	if err := <-ended; !errors.Is(err, cause) {
		t.Errorf("Open = %v, want %v", err, cause)
	}
	for range 400 { // whoever adopted it may take a while to notice
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("what rsync started outlives it")
}

// TestSpoolFull: the spool keeps its reserve.
func TestSpoolFull(t *testing.T) {
	t.Parallel()
	opener := rsyncdest.New(rsyncdest.Options{Address: "127.0.0.1:1", Module: "m", Program: script(t, "exit 0"), Spool: t.TempDir(), ReserveBytes: 1 << 62})
	driver, err := opener.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	stage, err := driver.(dest.Stager).NewStage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stage.Create(t.Context(), "a", 1); !isCode(err, dest.CodeSpoolFull) {
		t.Errorf("Create = %v, want %s", err, dest.CodeSpoolFull)
	}
	if err := stage.Discard(); err != nil {
		t.Error(err)
	}
}

// TestArgumentsHoldNoSecret: the password goes by the environment, and names by standard input.
func TestArgumentsHoldNoSecret(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	program := script(t, fmt.Sprintf(`echo "$@" >>'%s'; [ "$RSYNC_PASSWORD" = 's3cret word' ] || exit 5`, log))
	password := func() (string, error) { return "s3cret word", nil }
	opener := rsyncdest.New(rsyncdest.Options{Address: "127.0.0.1:1", Module: "m", User: "u", Password: password, Program: program, Spool: t.TempDir()})
	driver, err := opener.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	if err := driver.(dest.Keeper).WriteOwn(t.Context(), "head", []byte("text")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(log)
	if err != nil || strings.Count(string(text), "\n") != 3 || strings.Contains(string(text), "s3cret") {
		t.Errorf("the arguments were %s, %v", text, err)
	}
}
