package witnesses

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/wolkvox/backup/internal/ledger"
)

var (
	errUnreachable = errors.New("the witness does not answer")
	// errContradicts says that the witness holds what this log does not contain: somebody has to look at both.
	errContradicts = errors.New("the witness has signed another history of this log, or more of it than there is here")
)

// maxAnswerBytes is more than the signature lines of any witness.
const maxAnswerBytes = 16 << 10

// submit asks for a signature over a head and returns its line. old is the size that the witness is believed to have signed
// last; where it says another, it is asked once more.
func (w *Witnesses) submit(ctx context.Context, witness Witness, log Log, head []byte, old int64) ([]byte, error) {
	h, _, err := ledger.ParseHead(head)
	if err != nil {
		return nil, err
	}
	old = min(old, h.Size)
	status, answer, err := w.post(ctx, witness, log, head, h.Size, old)
	if known, ok := knownSize(status, answer); err == nil && ok && known != old {
		if known > h.Size {
			return nil, fmt.Errorf("%w: it has signed %d entries, the agreed head has %d", errContradicts, known, h.Size)
		}
		old = known
		status, answer, err = w.post(ctx, witness, log, head, h.Size, old)
	}
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusConflict, status == http.StatusUnprocessableEntity:
		return nil, fmt.Errorf("%w: it answers %d to the %d entries after %d", errContradicts, status, h.Size, old)
	case status != http.StatusOK:
		return nil, fmt.Errorf("the witness answers %d: %.200q", status, answer)
	}
	for line := range bytes.Lines(answer) {
		if _, err := ledger.OpenWitnessed(line, checkpointText(head), witness.Key); err == nil {
			return line, nil
		}
	}
	return nil, fmt.Errorf("the witness answers without a valid signature by %s: %.200q", witness.Key, answer)
}

// knownSize reads the answer that says which size was signed last.
func knownSize(status int, answer []byte) (int64, bool) {
	if status != http.StatusConflict {
		return 0, false
	}
	known, err := strconv.ParseInt(strings.TrimSuffix(string(answer), "\n"), 10, 64)
	return known, err == nil && known >= 0
}

func (w *Witnesses) post(ctx context.Context, witness Witness, log Log, head []byte, size, old int64) (status int, answer []byte, err error) {
	body := fmt.Appendf(nil, "old %d\n", old)
	if 0 < old && old < size {
		proof, err := tlog.ProveTree(size, old, log)
		if err != nil {
			return 0, nil, err
		}
		for _, hash := range proof {
			body = append(base64.StdEncoding.AppendEncode(body, hash[:]), '\n')
		}
	}
	body = append(append(body, '\n'), head...)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(witness.URL, "/")+"/add-checkpoint", bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	response, err := w.client.Do(request)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	return response.StatusCode, answer, nil
}
