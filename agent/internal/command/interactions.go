package command

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// writeInteractions says of each night that had interactions without a recording how many, and why. The manifests of a night
// name each interaction once.
func writeInteractions(w io.Writer, nights []*backupv1.Night) {
	total := map[string]int64{}
	unrecorded := map[string]map[string]int64{}
	for _, n := range nights {
		total[n.GetNight()] += n.GetInteractionCount()
		for _, u := range n.GetUnrecorded() {
			if unrecorded[n.GetNight()] == nil {
				unrecorded[n.GetNight()] = map[string]int64{}
			}
			unrecorded[n.GetNight()][u.GetReason()] += u.GetCount()
		}
	}
	for _, night := range slices.Sorted(maps.Keys(unrecorded)) {
		var count int64
		var reasons []string
		for _, reason := range slices.Sorted(maps.Keys(unrecorded[night])) {
			count += unrecorded[night][reason]
			reasons = append(reasons, fmt.Sprintf("%d %s", unrecorded[night][reason], reason))
		}
		fmt.Fprintf(w, "%s: %d of %d interactions have no recording: %s\n", night, count, total[night], strings.Join(reasons, ", "))
	}
}
