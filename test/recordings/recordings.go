// Package recordings makes files like those of a contact centre: calls in GSM 06.10, WAV49 and MP3 that players play,
// and chats. The demo, the tests and the benchmarks copy them. It makes noise, not speech, and depends on nothing but a
// seed.
package recordings

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// Options say which recordings [Make] makes.
type Options struct {
	// Seed determines names, sizes and contents: equal options make equal trees.
	Seed uint64
	// Count is how many files are made.
	Count int
	// MedianBytes is the median of the sizes of calls, which are rounded up to whole frames. A chat has a twentieth of what
	// a call would have.
	MedianBytes int64
	// Sigma is the standard deviation of the logarithm of the sizes, which are log-normal. 0 makes equal sizes; 0.8
	// is like real calls.
	Sigma float64
	// Kinds are taken in turn, so that a kind that is named twice is twice as frequent. Where empty: [Mixed].
	Kinds []Kind
	// From and Until are the span over which the recordings are spread evenly, From included. The modification
	// time of a file is the instant at which it was recorded. Dates in paths are those of From's location.
	From, Until time.Time
}

// Mixed returns the kinds as a contact centre has them: mostly calls, and some chats.
func Mixed() []Kind { return []Kind{GSM, MP3, GSM, MP3, ChatJSON, GSM, MP3, WAV49, GSM, ChatText} }

// Make writes recordings below dir, which it creates where it is missing, as CAMPAIGN/AGENT/DATE/NAME. The names of the
// files of one call of Make are distinct. It replaces files that are there already, and stops at the first error.
func Make(dir string, o Options) error {
	if len(o.Kinds) == 0 {
		o.Kinds = Mixed()
	}
	if err := o.check(); err != nil {
		return fmt.Errorf("make recordings: %w", err)
	}
	var (
		workers sync.WaitGroup
		mu      sync.Mutex // guards next and failed
		next    int
		failed  error
	)
	sounds := formats()
	take := func() (index int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, failed == nil && next <= o.Count
	}
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for index, ok := take(); ok; index, ok = take() {
				if err := o.makeOne(dir, index, sounds); err != nil {
					mu.Lock()
					failed = errors.Join(failed, fmt.Errorf("make recording %d: %w", index, err))
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return failed
}

func (o *Options) check() error {
	switch {
	case o.Count < 0:
		return fmt.Errorf("the count is %d", o.Count)
	case o.MedianBytes < 1:
		return fmt.Errorf("the median size is %d bytes", o.MedianBytes)
	case o.Sigma < 0 || math.IsNaN(o.Sigma):
		return fmt.Errorf("sigma is %v", o.Sigma)
	case o.From.IsZero() || o.Until.Before(o.From):
		return fmt.Errorf("the span from %s until %s is none", o.From, o.Until)
	}
	for _, kind := range o.Kinds {
		if kind < GSM || kind > ChatText {
			return fmt.Errorf("there is no kind %d", kind)
		}
	}
	return nil
}

// makeOne makes the recording with this index. Each has random numbers of its own, so that the order does not matter.
func (o *Options) makeOne(dir string, index int, sounds map[Kind]audio) error {
	source := rand.NewChaCha8(seed(o.Seed, index))
	random := rand.New(source)
	kind := o.Kinds[index%len(o.Kinds)]
	sizeBytes := int64(min(float64(o.MedianBytes)*math.Exp(o.Sigma*random.NormFloat64()), maxFileBytes))
	recorded := o.From.Add(time.Duration(float64(o.Until.Sub(o.From)) * float64(index) / float64(o.Count)))

	path := filepath.Join(dir, name(random, index, recorded, kind))
	file, err := create(path)
	if err != nil {
		return err
	}
	if sound, ok := sounds[kind]; ok {
		err = sound.write(file, source, sizeBytes)
	} else {
		err = writeChat(file, random, kind, sizeBytes/20)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Chtimes(path, recorded, recorded)
}

// maxFileBytes bounds the tail of the log-normal distribution.
const maxFileBytes = 1 << 40

func create(path string) (*os.File, error) {
	file, err := os.Create(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return os.Create(path)
}

func seed(seed uint64, index int) (s [32]byte) {
	copy(s[:], fmt.Sprintf("%016x%016x", seed, index))
	return s
}

// name is the path of a recording: its campaign, the person who spoke, the date, and the call itself.
func name(random *rand.Rand, index int, recorded time.Time, kind Kind) string {
	campaigns := [...]string{"ventas", "soporte", "cobranza", "Atención al cliente", "Campaña 2"}
	campaign := campaigns[random.IntN(len(campaigns))]
	person := fmt.Sprintf("agente-%03d", 1+random.IntN(12))
	caller := 3_000_000_000 + random.Int64N(600_000_000)
	file := fmt.Sprintf("%s_57%d_%s_%d.%d%s", recorded.Format("20060102-150405"), caller, person, recorded.Unix(), index, kind.suffix())
	return filepath.Join(campaign, person, recorded.Format(time.DateOnly), file)
}
