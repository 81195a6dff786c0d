//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// describeMachine says what is measured on, and which programs take part.
func describeMachine(ctx context.Context, w io.Writer, o options) error {
	fmt.Fprintf(w, "date     %s\n", time.Now().UTC().Format(time.DateOnly))
	fmt.Fprintf(w, "machine  %d CPUs (%s), %s of memory\n", runtime.NumCPU(), field("/proc/cpuinfo", "model name"), field("/proc/meminfo", "MemTotal"))
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	fmt.Fprintf(w, "system   Linux %s, %s\n", unix.ByteSliceToString(u.Release[:]), field("/etc/os-release", "PRETTY_NAME"))
	kind, err := fileSystemOf(o.dir)
	if err != nil {
		return err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "disk     %s, %s\n", o.dir, kind)
	fmt.Fprintf(w, "load     %s (1, 5 and 15 minutes, running/all, last process) before it began\n", bytes.TrimSpace(load))
	for _, program := range [][]string{{filepath.Join(o.bin, "wolkvox-server"), "version"}, {"rsync", "--version"}, {"ssh", "-V"},
		{"rclone", "version"}, {"/usr/sbin/smbd", "--version"}} {
		version, err := version(ctx, program)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "with     %s\n", version)
	}
	for _, program := range []string{"versitygw", "s5cmd"} { // neither knows its own version
		path, err := exec.LookPath(program)
		if err != nil {
			return err
		}
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read what %s is built of: %w", path, err)
		}
		fmt.Fprintf(w, "with     %s %s\n", program, info.Main.Version)
	}
	_, err = fmt.Fprintln(w)
	return err
}

// version returns the first line that a program writes, wherever it writes it to.
func version(ctx context.Context, program []string) (string, error) {
	out, err := command(ctx, "sh", "-c", `"$@" 2>&1`, "sh", program[0], program[1])
	return strings.Join(strings.Fields(firstLine(string(out))), " "), err
}

// field returns a value of a text file with a key and a value on each line, "unknown" where there is none.
func field(path, key string) string {
	file, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		i := strings.IndexAny(lines.Text(), ":=")
		if i >= 0 && strings.TrimSpace(lines.Text()[:i]) == key {
			return strings.Trim(lines.Text()[i+1:], " \t\"")
		}
	}
	return "unknown"
}

func fileSystemOf(dir string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", fmt.Errorf("statfs %s: %w", dir, err)
	}
	names := map[int64]string{unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.TMPFS_MAGIC: "tmpfs: nothing is durable here, and nothing is written", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs"}
	if name, ok := names[int64(st.Type)]; ok {
		return name, nil
	}
	return fmt.Sprintf("file system %#x", st.Type), nil
}

// reportCopies writes a table with a line for each program. The first of copiers is what the others are compared with.
func reportCopies(w io.Writer, source tree, copiers []copier, runs [][]measured) error {
	fmt.Fprintf(w, "copying %d files, %.2f GB, from a warm cache to an empty directory, in turn, %d times each\n\n",
		source.files, float64(source.sizeBytes)/1e9, len(runs[0]))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "program\tseconds\tmin-max\tMB/s\twith sync\tCPU s/GB\tx seconds\tx with sync\tx CPU\t")
	ours := summarize(runs[0])
	gigabytes := float64(source.sizeBytes) / 1e9
	for i, c := range copiers {
		s := summarize(runs[i])
		fmt.Fprintf(table, "%s\t%.2f\t%.2f-%.2f\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", c.name(), s.wall, s.least, s.most,
			gigabytes*1000/s.wall, s.durable, s.cpu/gigabytes, ours.wall/s.wall, ours.durable/s.durable, ours.cpu/s.cpu)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nMedians. With sync: until a sync of the file system after the copy had ended too. x: the figure of %s divided by\n"+
		"that of the line, below 1 where %[1]s takes less. The agent's peak anonymous memory: %.1f MiB.\n\n", copiers[0].name(), ours.peakMebibytes)
	return err
}

// summary is the medians over several copies, in seconds.
type summary struct{ wall, least, most, durable, cpu, peakMebibytes float64 }

func summarize(runs []measured) summary {
	of := func(value func(measured) float64) []float64 {
		values := make([]float64, len(runs))
		for i, m := range runs {
			values[i] = value(m)
		}
		slices.Sort(values)
		return values
	}
	wall := of(func(m measured) float64 { return m.wall.Seconds() })
	return summary{
		wall: median(wall), least: wall[0], most: wall[len(wall)-1],
		durable:       median(of(func(m measured) float64 { return m.durable.Seconds() })),
		cpu:           median(of(func(m measured) float64 { return m.cpu.Seconds() })),
		peakMebibytes: slices.Max(of(func(m measured) float64 { return float64(m.peakAnonymous) / (1 << 20) })),
	}
}

// median returns the middle of sorted values, or the mean of the two in the middle.
func median(sorted []float64) float64 {
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// budgetMebibytes is what the agent may take of anonymous memory, whatever the night.
const budgetMebibytes = 100

func reportMemory(w io.Writer, what string, source tree, m measured) error {
	_, err := fmt.Fprintf(w, "copying %s: the agent's peak anonymous memory was %.1f MiB (budget: %d); %.1f s, %.0f MB/s\n\n", what,
		float64(m.peakAnonymous)/(1<<20), budgetMebibytes, m.wall.Seconds(), float64(source.sizeBytes)/1e6/m.wall.Seconds())
	return err
}
