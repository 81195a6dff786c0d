package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	sst "github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// checkTables reads every table and reports those whose bytes were changed. Badger verifies a block or an index only after
// it used the numbers in it, some of them in goroutines of its own, and so ends the process where they make no sense. Only
// the tables that Badger's list names count: others are what a crash left behind.
func checkTables(dir string, opts badger.Options) error {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	manifest, _, err := badger.ReplayManifestFile(f, opts.ExternalMagicVersion, opts)
	if err != nil {
		return fmt.Errorf("the list of tables: %w: %w", err, ErrDamaged)
	}
	for id := range manifest.Tables {
		name := sst.NewFilename(id, dir)
		err := checkTable(name)
		if _, isFile := errors.AsType[*fs.PathError](err); isFile && !errors.Is(err, fs.ErrNotExist) {
			return err // not damage: it cannot be opened or read
		}
		if err != nil {
			return fmt.Errorf("the table %s: %w: %w", filepath.Base(name), err, ErrDamaged)
		}
	}
	return nil
}

// checkTable checks the checksums of a table's index and blocks. The file ends in the index, and the index and each
// block in its checksum; index and checksums are followed by their length, big-endian in four bytes.
func checkTable(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	sum, end, err := lastPart(f, end)
	if err != nil {
		return fmt.Errorf("checksum of the index: %w", err)
	}
	data, blocks, err := lastPart(f, end)
	if err == nil {
		err = verifyChecksum(data, sum)
	}
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	sections, err := sectionsOf(data)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	for i, at := range sections {
		if at.end() > blocks {
			return fmt.Errorf("block %d is not in the file", i)
		}
		if err := checkBlock(io.NewSectionReader(f, at.offset, at.sizeBytes)); err != nil {
			return fmt.Errorf("block %d: %w", i, err)
		}
	}
	return nil
}

// section is where a block lies in a table.
type section struct{ offset, sizeBytes int64 }

func (s section) end() int64 { return s.offset + s.sizeBytes }

// sectionsOf reads an index. Flatbuffers follow offsets without looking where they lead, and the checksum of nothing, which
// a file of zeros has, is right.
func sectionsOf(data []byte) (sections []section, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			sections, err = nil, fmt.Errorf("it leads out of itself: %v", cause)
		}
	}()
	index := fb.GetRootAsTableIndex(data, 0)
	if count := index.OffsetsLength(); count < 0 || count > len(data) {
		return nil, fmt.Errorf("it has %d blocks in %d bytes", count, len(data))
	}
	for i := range index.OffsetsLength() {
		var at fb.BlockOffset
		if !index.Offsets(&at, i) {
			return nil, fmt.Errorf("block %d is not in it", i)
		}
		sections = append(sections, section{int64(at.Offset()), int64(at.Len())})
	}
	return sections, nil
}

func checkBlock(r *io.SectionReader) error {
	block := make([]byte, r.Size())
	if _, err := io.ReadFull(r, block); err != nil {
		return err
	}
	sum, end, err := lastPart(bytes.NewReader(block), r.Size())
	if err != nil {
		return err
	}
	return verifyChecksum(block[:end], sum)
}

func verifyChecksum(data, sum []byte) error {
	var expected pb.Checksum
	if err := proto.Unmarshal(sum, &expected); err != nil {
		return err
	}
	if expected.Algo != pb.Checksum_CRC32C && expected.Algo != pb.Checksum_XXHash64 {
		return fmt.Errorf("its checksum is of the unknown kind %d", expected.Algo)
	}
	return y.VerifyChecksum(data, &expected)
}

// lastPart returns the bytes that end before their length, which ends at end, and where they begin.
func lastPart(f io.ReaderAt, end int64) ([]byte, int64, error) {
	var length [4]byte
	if end < int64(len(length)) {
		return nil, 0, io.ErrUnexpectedEOF
	}
	end -= int64(len(length))
	if _, err := f.ReadAt(length[:], end); err != nil {
		return nil, 0, err
	}
	size := int64(binary.BigEndian.Uint32(length[:]))
	if size > end {
		return nil, 0, io.ErrUnexpectedEOF
	}
	part := make([]byte, size)
	_, err := f.ReadAt(part, end-size)
	return part, end - size, err
}
