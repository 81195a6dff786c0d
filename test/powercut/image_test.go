package powercut

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// contents returns all bytes of an image.
func contents(m *image) []byte {
	p := make([]byte, m.sizeBytes())
	return p[:m.readAt(p, 0)]
}

// TestImageForgets compares an image with one byte slice per flush, over random operations.
func TestImageForgets(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	const size = 16 * blockBytes
	m := newImage(size)
	current, durable := make([]byte, size), make([]byte, size)
	var states [][]byte // since the last flush, after each write
	for step := range 2000 {
		switch random.IntN(10) {
		case 0:
			m.flush()
			durable, states = bytes.Clone(current), nil
		case 1:
			l := loss(random.IntN(int(losses)))
			after := cut(random, l, m)[0]
			restore(m)
			m.flush() // of the old one: nobody reads it again
			m = after
			got := contents(m)
			switch possible := append([][]byte{durable}, states...); {
			case l == loseAll && !bytes.Equal(got, durable):
				t.Fatalf("seed %d, step %d: after a cut without any unflushed write the image is not as it was flushed", seed, step)
			case l == loseEnd && !contains(possible, got):
				t.Fatalf("seed %d, step %d: after a cut the image is none of the states since the last flush", seed, step)
			}
			for i := range got {
				if got[i] != durable[i] && !oneOf(states, i, got[i]) {
					t.Fatalf("seed %d, step %d: byte %d was never %d", seed, step, i, got[i])
				}
			}
			current, durable, states = got, bytes.Clone(got), nil
		default:
			offset := random.Int64N(size)
			data := make([]byte, random.Int64N(min(3*blockBytes, size-offset)+1))
			for i := range data {
				data[i] = byte(random.Uint32())
			}
			if n, ok := m.writeAt(data, offset); n != len(data) || !ok {
				t.Fatalf("writeAt(%d bytes, %d) = %d, %v", len(data), offset, n, ok)
			}
			copy(current[offset:], data)
			states = append(states, bytes.Clone(current))
		}
		if !bytes.Equal(contents(m), current) {
			t.Fatalf("seed %d, step %d: the image does not hold what was last written", seed, step)
		}
	}
}

func contains(states [][]byte, want []byte) bool {
	for _, s := range states {
		if bytes.Equal(s, want) {
			return true
		}
	}
	return false
}

func oneOf(states [][]byte, i int, want byte) bool {
	for _, s := range states {
		if s[i] == want {
			return true
		}
	}
	return false
}

func TestImageEnds(t *testing.T) {
	t.Parallel()
	m := newImage(blockBytes)
	if _, ok := m.writeAt([]byte{1, 2}, blockBytes-1); ok {
		t.Error("a write beyond the end was taken")
	}
	if n := m.readAt(make([]byte, 10), blockBytes-4); n != 4 {
		t.Errorf("a read at the end returned %d bytes, want 4", n)
	}
}

// TestCutIsOneInstant: requests hang while the power is off, on all images alike, and are lost when they go on.
func TestCutIsOneInstant(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	a, b := newImage(blockBytes), newImage(blockBytes)
	after := cut(random, loseAll, a, b)
	done := make(chan struct{}, 2)
	for _, m := range []*image{a, b} {
		go func() {
			m.writeAt([]byte{1}, 0)
			m.flush()
			done <- struct{}{}
		}()
	}
	select {
	case <-done:
		t.Error("a flush returned while the power was off")
	default:
	}
	restore(a, b)
	<-done
	<-done
	for i, m := range after {
		if got := contents(m)[0]; got != 0 {
			t.Errorf("image %d holds a write that came after the cut", i)
		}
	}
}
