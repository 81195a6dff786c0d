package witness

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// errForm says that a submission is not of its form.
var errForm = errors.New("it is no submission of a checkpoint")

// maxProofLines is how many hashes a submission may have (tlog-witness, add-checkpoint).
const maxProofLines = 63

// submission is what add-checkpoint is sent: "old SIZE", the hashes of a consistency proof, an empty line, and a signed note.
type submission struct {
	old   int64
	proof tlog.TreeProof
	note  []byte
	body  []byte // all of it
}

func parseSubmission(body []byte) (submission, error) {
	head, signed, ok := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	old, ok2 := strings.CutPrefix(lines[0], "old ")
	s := submission{note: signed, body: body}
	var ok3 bool
	s.old, ok3 = readSize(old)
	if !ok || !ok2 || !ok3 {
		return submission{}, fmt.Errorf("%w: it does not begin with the old size, or has no empty line", errForm)
	}
	if len(lines)-1 > maxProofLines {
		return submission{}, fmt.Errorf("%w: the proof has more than %d hashes", errForm, maxProofLines)
	}
	for _, line := range lines[1:] {
		hash, ok := readHash(line)
		if !ok {
			return submission{}, fmt.Errorf("%w: %.80q is no hash", errForm, line)
		}
		s.proof = append(s.proof, hash)
	}
	return s, nil
}

// checkpoint is the first three lines of a checkpoint's text.
type checkpoint struct {
	origin string
	size   int64
	root   tlog.Hash
}

// checkpointText returns the text of a signed note: what stands before its last empty line.
func checkpointText(signed []byte) []byte { return signed[:bytes.LastIndex(signed, []byte("\n\n"))+1] }

// parseCheckpoint reads a checkpoint's text, in which further lines may follow the three (tlog-checkpoint).
func parseCheckpoint(text []byte) (checkpoint, error) {
	lines := strings.Split(string(text), "\n")
	if len(lines) < 4 || lines[0] == "" || lines[len(lines)-1] != "" {
		return checkpoint{}, fmt.Errorf("%w: a checkpoint has an origin, a size and a root, and a signature", errForm)
	}
	size, ok := readSize(lines[1])
	root, ok2 := readHash(lines[2])
	if !ok || !ok2 {
		return checkpoint{}, fmt.Errorf("%w: %.80q and %.80q are no size and root", errForm, lines[1], lines[2])
	}
	return checkpoint{lines[0], size, root}, nil
}

// readSize reads a decimal without leading zeroes.
func readSize(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0 && strconv.FormatInt(n, 10) == s
}

// readHash reads the one base64 text of 32 bytes.
func readHash(s string) (h tlog.Hash, ok bool) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(h) || base64.StdEncoding.EncodeToString(b) != s {
		return tlog.Hash{}, false
	}
	return tlog.Hash(b), true
}
