package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// result is what the demo ends with.
type result struct {
	nights        []night
	counts        counts
	replaced      int64 // of the withdrawn ones, those of which a later manifest has another
	server, agent report
}

// result reads it from both sides. It waits for their agreement, which comes with one of the next heartbeats.
func (d *demo) result(ctx context.Context) (r result, err error) {
	var failed error
	err = d.agent.await(ctx, "both sides to agree", func() bool {
		var one, other error
		r.server, one = d.verifyServer(ctx)
		r.agent, other = d.verifyAgent(ctx)
		failed = errors.Join(one, other)
		return failed != nil || r.agree()
	})
	if err := errors.Join(err, failed); err != nil {
		return r, fmt.Errorf("%w: the server has %s, agreed %s; the agent has %s, agreed %s",
			err, r.server.Position, r.server.Agreed, r.agent.Position, r.agent.Agreed)
	}
	if r.nights, err = d.nights(ctx); err != nil {
		return r, err
	}
	r.counts = sum(r.nights)
	items, err := d.items(ctx)
	if err != nil {
		return r, err
	}
	latest := map[string]int64{} // manifest by source path
	for _, i := range items {
		latest[i.sourcePath()] = max(latest[i.sourcePath()], i.Manifest)
	}
	for _, i := range items {
		if i.State == "withdrawn" && latest[i.sourcePath()] > i.Manifest {
			r.replaced++
		}
	}
	return r, nil
}

// agree reports whether both sides have the same log, and have signed the same head for all of it.
func (r *result) agree() bool {
	return r.server.Position.Size > 0 && r.server.Position == r.agent.Position &&
		r.server.Agreed == r.server.Position && r.agent.Agreed == r.server.Position
}

// show writes a table of the nights, and in the last line how it went. Its error says what is not as it should be.
func (r *result) show(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "\nNIGHT\tMANIFEST\tRECORDINGS\tCONFIRMED\tPENDING\tEXPIRED\tWAIVED\tWITHDRAWN\tTRIED UNTIL")
	var total int64
	for _, n := range r.nights {
		total += n.ItemCount
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", n.Night, n.Manifest, n.ItemCount, n.Counts.Confirmed, n.Counts.Pending,
			n.Counts.Expired, n.Counts.Waived, n.Counts.Withdrawn, n.Deadline.Format("2006-01-02 15:04Z"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	c := r.counts
	distinct := total - c.Withdrawn
	fmt.Fprintf(w, "\ndemo: %d recordings, %d confirmed, %d pending, %d expired, %d waived, %d withdrawn and replaced; both sides agree on head %s\n",
		distinct, c.Confirmed, c.Pending, c.Expired, c.Waived, r.replaced, r.server.Agreed)
	switch {
	case c.Confirmed != distinct:
		return fmt.Errorf("%d of %d recordings are not confirmed", distinct-c.Confirmed, distinct)
	case r.replaced != 1 || c.Withdrawn != 1:
		return fmt.Errorf("one recording was changed, but %d were withdrawn and %d replaced", c.Withdrawn, r.replaced)
	}
	return nil
}

// invite prints what to do next.
func (d *demo) invite() {
	agent, operator := " --config "+quoted(d.path("agent.yaml")), " --credential "+quoted(d.credential())
	place := " " + tenantName + " " + destinationName
	say("\nLook around. The agent's commands work as it is:")
	say("  ls -R %s", quoted(d.path("destination")))
	say("  bin/wolkvox-agent status%s", agent)
	say("  bin/wolkvox-agent ledger verify%s", agent)
	verifier := d.verifier()
	for i := range verifier {
		verifier[i] = quoted(verifier[i])
	}
	say("  node %s", strings.Join(verifier, " "))
	say("The operator's commands ask the server:")
	say("  bin/wolkvox-server serve --config %s 2>>%s &", quoted(d.path("server.yaml")), quoted(d.path("server.log")))
	say("  bin/wolkvox-server nights%s%s", place, operator)
	say("  bin/wolkvox-server items%s --state withdrawn%s", place, operator)
	say("  bin/wolkvox-server agents%s", operator)
	say("To remove everything:  rm -r %s", quoted(d.dir))
}

// quoted is a word as a shell reads it.
func quoted(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-"
	if strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func bytesText(n int64) string {
	switch {
	case n < 1e3:
		return fmt.Sprintf("%d bytes", n)
	case n < 1e6:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
