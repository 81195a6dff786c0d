//go:build linux && peers

package fleet

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// clock is what one process takes for the time of day: the machine's, and some seconds more or less. A Go program asks for
// it in the vDSO (vdso(7)), a page of code that the kernel maps into each process. There, in this one process, the
// function is replaced by one that makes the system call and adds a number, which stands behind it and can be changed at any
// time. The monotonic clock goes on as it is, as it does on a machine whose clock is set.
type clock struct {
	pid   int
	added uintptr // where the number stands
}

// clockCode is __vdso_clock_gettime(edi: clock, rsi: *timespec) for amd64:
//
//	mov eax, SYS_clock_gettime; syscall; test edi, edi; jne end; mov rcx, [added]; add [rsi], rcx; end: ret; nop; nop; added:
var clockCode = []byte{0xb8, 228, 0, 0, 0, 0x0f, 0x05, 0x85, 0xff, 0x75, 10, 0x48, 0x8b, 0x0d, 6, 0, 0, 0, 0x48, 0x01, 0x0e, 0xc3, 0x90, 0x90}

// newClock gives a process that is stopped, and has not run yet, a clock of its own.
func newClock(pid int, offset time.Duration) (*clock, error) {
	if runtime.GOARCH != "amd64" {
		return nil, errors.New("a clock of its own can be given to a process on amd64 only")
	}
	start, code, err := readVDSO(pid)
	if err != nil {
		return nil, err
	}
	file, err := elf.NewFile(bytes.NewReader(code))
	if err != nil {
		return nil, err
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return nil, err
	}
	for _, s := range symbols {
		if s.Name != "__vdso_clock_gettime" {
			continue
		}
		if s.Size < uint64(len(clockCode))+8 || s.Value%8 != 0 {
			return nil, fmt.Errorf("the kernel's function has %d bytes at %#x", s.Size, s.Value)
		}
		at := start + uintptr(s.Value)
		c := &clock{pid, at + uintptr(len(clockCode))}
		return c, errors.Join(c.set(offset), writeMemory(pid, at, clockCode))
	}
	return nil, errors.New("the kernel maps no clock_gettime")
}

// set changes by how much the clock is wrong; it counts whole seconds.
func (c *clock) set(offset time.Duration) error {
	return writeMemory(c.pid, c.added, binary.LittleEndian.AppendUint64(nil, uint64(int64(offset/time.Second))))
}

func readVDSO(pid int) (start uintptr, code []byte, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, nil, err
	}
	for line := range strings.Lines(string(maps)) {
		var end uintptr
		if !strings.HasSuffix(line, "[vdso]\n") {
			continue
		}
		if _, err := fmt.Sscanf(line, "%x-%x", &start, &end); err != nil {
			return 0, nil, err
		}
		memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
		if err != nil {
			return 0, nil, err
		}
		code = make([]byte, end-start)
		_, err = memory.ReadAt(code, int64(start))
		return start, code, errors.Join(err, memory.Close())
	}
	return 0, nil, errors.New("the process has no vDSO")
}

func writeMemory(pid int, at uintptr, data []byte) error {
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = memory.WriteAt(data, int64(at))
	return errors.Join(err, memory.Close())
}

// startWithClock lets a process that was started to be traced go on with a clock of its own. It is called by the thread that
// started it.
func startWithClock(pid int, offset time.Duration) (*clock, error) {
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || !status.Stopped() {
		return nil, fmt.Errorf("await the start of the program: %v, %w", status, err)
	}
	c, err := newClock(pid, offset)
	return c, errors.Join(err, syscall.PtraceDetach(pid))
}

// StartWithClock starts the agent as a service with a clock that is wrong by offset from its first instant on, and returns
// when it answers.
func (a *Agent) StartWithClock(t testing.TB, offset time.Duration) {
	t.Helper()
	a.process = startProcess(t, a.Log, &offset, a.program, "run", "--config", a.Config)
	a.process.await(t, "answering", a.answers)
}

// DoWithClock runs a command, which must succeed, with a clock that is wrong by offset.
func (a *Agent) DoWithClock(t testing.TB, offset time.Duration, args ...string) {
	t.Helper()
	p := startProcess(t, a.Log, &offset, a.program, append(args, "--config", a.Config)...)
	if p.Wait(); p.err != nil {
		t.Fatalf("%v: %v\n%s", args, p.err, Tail(a.Log))
	}
}

// SetClock changes by how much the clock of an agent that was started by [Agent.StartWithClock] is wrong.
func (a *Agent) SetClock(t testing.TB, offset time.Duration) {
	t.Helper()
	if err := a.process.clock.set(offset); err != nil {
		t.Fatal(err)
	}
}

// StartWithClock starts the server with a clock that is wrong by offset from its first instant on, and returns when it can be
// called.
func (s *Server) StartWithClock(t testing.TB, offset time.Duration) {
	t.Helper()
	if err := os.Remove(s.addressFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	s.process = startProcess(t, s.Log, &offset, s.program, "serve", "--config", s.config)
	s.process.await(t, "listening", func() bool { return s.Address() != "" })
}
