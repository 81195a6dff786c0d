// Package size reads numbers of bytes as people write them in configurations and commands. It does not write them for people.
package size

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Size is a number of bytes, never negative where it was read.
type Size int64

// UnmarshalYAML reads a size such as 1048576, "512KiB", "20GiB" or "1TB". The error names the line.
func (s *Size) UnmarshalYAML(node *yaml.Node) error {
	v, err := Parse(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	*s = v
	return nil
}

// Parse reads a whole number of bytes, or one followed by KB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB,
// TiB (powers of 1024). The error names the text and how to write it.
func Parse(text string) (Size, error) {
	digits := strings.TrimRight(text, "KMGTiB")
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	unit, known := map[string]int64{
		"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	}[text[len(digits):]]
	if err != nil || !known || n < 0 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is no size; write it like 512MiB or 20GiB", text)
	}
	return Size(n * unit), nil
}
