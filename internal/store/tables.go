package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	sst "github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// checkTables reports a table whose end, which says where everything in it is, was changed. Badger looks at it in
// goroutines of its own and ends the process where it makes no sense; it does check everything else when it reads it.
// Only the tables that Badger's list names count: others are what a crash left behind.
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
		if err := checkTable(name); err != nil {
			return fmt.Errorf("the table %s: %w: %w", filepath.Base(name), err, ErrDamaged)
		}
	}
	return nil
}

// checkTable checks the end of a table file: index, its length, the index's checksum, its length; lengths are big-endian
// in four bytes.
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
	index, _, err := lastPart(f, end)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	var expected pb.Checksum
	if err := proto.Unmarshal(sum, &expected); err != nil {
		return fmt.Errorf("checksum of the index: %w", err)
	}
	if expected.Algo != pb.Checksum_CRC32C && expected.Algo != pb.Checksum_XXHash64 {
		return fmt.Errorf("checksum of the index: unknown method %d", expected.Algo)
	}
	return y.VerifyChecksum(index, &expected)
}

// lastPart returns the bytes before end that are followed by their length, and where they begin.
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
