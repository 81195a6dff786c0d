package command

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/wolkvox/backup/agent/internal/config"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// comparedFile is a file of this machine beside what the ledger says of its recording.
type comparedFile struct {
	Path      string `json:"path"`
	SHA256    string `json:"sha256,omitempty"`
	SizeBytes int64  `json:"size_bytes"`
	Equal     bool   `json:"equal"`
	Problem   string `json:"problem,omitempty"` // why it could not be read
}

// String says for a person how the file compares.
func (f *comparedFile) String() string {
	switch {
	case f.Problem != "":
		return "cannot be read: " + f.Problem
	case f.Equal:
		return "has exactly these bytes"
	}
	return fmt.Sprintf("HAS OTHER BYTES: SHA-256 %s, %d bytes", f.SHA256, f.SizeBytes)
}

// localFile returns the file of this machine that is to be compared: the one that was named, else that of the recording in
// the directory of its destination. It is empty where there is none.
func localFile(c config.Config, destination, file, path string) string {
	if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
		return file
	}
	d, ok := c.Destination(destination)
	local, err := filepath.Localize(path)
	if !ok || d.Directory == "" || err != nil {
		return ""
	}
	return filepath.Join(d.Directory, local)
}

// compareFile reads a file and compares it with what the ledger says, nil where path is empty.
func compareFile(path string, item *backupv1.Item) *comparedFile {
	if path == "" {
		return nil
	}
	compared := &comparedFile{Path: path}
	f, err := os.Open(path)
	if err != nil {
		compared.Problem = err.Error()
		return compared
	}
	defer f.Close()
	hash := sha256.New()
	if compared.SizeBytes, err = io.Copy(hash, f); err != nil {
		compared.Problem = err.Error()
		return compared
	}
	sum := hash.Sum(nil)
	compared.SHA256 = hex.EncodeToString(sum)
	compared.Equal = compared.SizeBytes == item.GetSizeBytes() && bytes.Equal(sum, item.GetSha256())
	return compared
}
