package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/bag"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
)

func (p *program) expiredExport() *cobra.Command {
	e := &exporting{program: p}
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Makes a BagIt bag of what expired, to be carried",
		Long: "export fetches expired recordings from wolkvox into DIR as a bag (RFC 8493), which `import` takes, and every BagIt\n" +
			"program checks. Each is compared with its digest. Interrupted, it can be run again and goes on. It confirms nothing.\n" +
			"Where the line is the problem, --fetch-txt makes a bag without the recordings: its fetch.txt says where each can be\n" +
			"fetched at wolkvox's door (SFTP), by anybody who has a key for it, from a better line.\n" +
			"It exits with 0 if the bag has all that was asked for, and with 1 if not.",
		Example: "  wolkvox-agent expired export /media/usb/bag\n  wolkvox-agent expired export bag --night 2026-11-02\n" +
			"  wolkvox-agent expired export bag --fetch-txt sftp://acme@backup.example.com:2022",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("expired export takes one folder")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if e.door != "" {
				if u, err := url.Parse(e.door); err != nil || u.Scheme != "sftp" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
					return usageError{fmt.Errorf("--fetch-txt is %q; give the door's address, such as sftp://acme@backup.example.com:2022", e.door)}
				}
			}
			e.dir = args[0]
			return p.withAgent(cmd.Context(), true, e.run)
		},
	}
	cmd.Flags().StringVar(&e.destination, "destination", "", "the destination, where there are several")
	cmd.Flags().StringVar(&e.night, "night", "", "only those of this night, YYYY-MM-DD")
	cmd.Flags().StringVar(&e.door, "fetch-txt", "", "fetch nothing, and write where each can be fetched: the door's `URL`")
	return cmd
}

// exporting is one run of the command.
type exporting struct {
	*program
	dir, destination, night, door string

	writer  *bag.Writer
	show    *progressBar
	fetched int64
	total   int64
}

// exported is one recording of the bag.
type exported struct {
	file            bag.File
	manifest, index int64
	night           string
	have            bool
}

func (e *exporting) run(ctx context.Context, client backupv1.AgentServiceClient) (err error) {
	if e.destination, err = only(ctx, client, e.destination); err != nil {
		return err
	}
	items, origin, err := e.items(ctx, client)
	if err != nil {
		return err
	}
	if len(items) == 0 {
		return errors.New("nothing that was asked for is expired; no bag was made")
	}
	if e.writer, err = bag.Create(e.dir); err != nil {
		return err
	}
	defer func() { err = both(err, e.writer.Close()) }()
	e.show = e.progress()
	defer e.show.end()
	byManifest := make(map[int64][]*exported)
	var order []int64
	for _, item := range items {
		if item.have, err = e.writer.Has(item.file); err != nil {
			return err
		}
		if item.have {
			continue
		}
		if len(byManifest[item.manifest]) == 0 {
			order = append(order, item.manifest)
		}
		byManifest[item.manifest] = append(byManifest[item.manifest], item)
		e.total += item.file.Digest.SizeBytes
	}
	if e.door == "" {
		for _, manifest := range order {
			if err := e.fetch(ctx, client, manifest, byManifest[manifest]); err != nil {
				return err
			}
		}
	}
	e.show.end()
	return e.finish(items, origin)
}

// items returns what is to be in the bag.
func (e *exporting) items(ctx context.Context, client backupv1.AgentServiceClient) (items []*exported, origin string, err error) {
	err = eachExpired(ctx, client, &backupv1.ListExpiredRequest{Destination: e.destination, Current: true}, func(page *backupv1.ListExpiredResponse, x *backupv1.ExpiredItem) error {
		origin = page.GetOrigin()
		item := x.GetItem()
		if item.GetPath() == "" || e.night != "" && e.night != x.GetNight() {
			return nil
		}
		if err := backup.CheckPath(item.GetPath()); err != nil {
			return err
		}
		digest, err := wire.ParseDigest(item.GetSha256(), item.GetSizeBytes())
		if err != nil {
			return err
		}
		items = append(items, &exported{file: bag.File{Path: item.GetPath(), Digest: digest}, manifest: item.GetManifest(), index: item.GetIndex(), night: x.GetNight()})
		return nil
	})
	return items, origin, err
}

// fetch brings recordings of one manifest into the bag.
func (e *exporting) fetch(ctx context.Context, client backupv1.AgentServiceClient, manifest int64, items []*exported) error {
	byIndex := make(map[int64]*exported, len(items))
	var ranges []ledger.Range
	for _, item := range items {
		byIndex[item.index] = item
		ranges = append(ranges, ledger.Range{First: item.index, Last: item.index})
	}
	stream, err := client.ReadExpired(ctx, &backupv1.ReadExpiredRequest{Destination: e.destination, Manifest: manifest, Indexes: wire.Indexes(ledger.NewSet(ranges...))})
	if err != nil {
		return err
	}
	var part *bag.Part
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		item := byIndex[piece.GetIndex()]
		if item == nil {
			return fmt.Errorf("the agent sent recording %d of manifest %d, which was not asked for", piece.GetIndex(), manifest)
		}
		if problem := piece.GetProblem(); problem != "" {
			e.show.end()
			fmt.Fprintf(e.stderr, "%s: %s\n", item.file.Path, problem)
			if part != nil {
				if err := part.Drop(); err != nil {
					return err
				}
				part = nil
			}
			continue
		}
		if part == nil {
			if part, err = e.writer.Begin(item.file); err != nil {
				return err
			}
		}
		if _, err := part.Write(piece.GetData()); err != nil {
			return errors.Join(err, part.Drop())
		}
		e.fetched += int64(len(piece.GetData()))
		e.show.step(&backupv1.RunResponse{Destination: e.destination, WantedBytes: e.total, FetchedBytes: e.fetched})
		if piece.GetLast() {
			if err := part.Commit(); err != nil {
				return err
			}
			part, item.have = nil, true
		}
	}
}

// finish describes the bag and says what it has.
func (e *exporting) finish(items []*exported, origin string) error {
	var files []bag.File
	urls := make(map[string]string)
	have := 0
	for _, item := range items {
		switch {
		case item.have:
			have++
		case e.door == "":
			continue
		default:
			urls[item.file.Path] = doorURL(e.door, origin, item)
		}
		files = append(files, item.file)
	}
	version, _ := buildInfo()
	err := e.writer.Finish(files, func(f bag.File) string { return urls[f.Path] }, []bag.Field{
		{Name: "Source-Organization", Value: "wolkvox"},
		{Name: "Bagging-Date", Value: time.Now().Format(time.DateOnly)},
		{Name: "External-Identifier", Value: origin},
		{Name: "External-Description", Value: "Recordings whose time to be copied has passed. Bring them in with: wolkvox-agent import"},
		{Name: "Bag-Software-Agent", Value: "wolkvox-agent " + version},
	})
	if err != nil {
		return err
	}
	missing := len(items) - len(files)
	if e.output == outputJSON {
		err = e.writeJSON(map[string]any{"bag": e.dir, "recordings": len(items), "in_bag": have, "to_fetch": len(urls), "missing": missing})
	} else {
		_, err = fmt.Fprintf(e.stdout, "%s: a bag of %d expired recordings of %s: %d are in it, %d are to be fetched as its fetch.txt says, %d could not be had\n",
			e.dir, len(items), e.destination, have, len(urls), missing)
	}
	if err == nil && missing > 0 {
		err = errBad
	}
	return err
}

// doorURL is where a recording is at the server's door: below /expired, its destination and its night.
func doorURL(door, origin string, item *exported) string {
	destination := ""
	if o, err := ledger.ParseOrigin(origin); err == nil {
		destination = o.Destination()
	}
	elements := []string{strings.TrimRight(door, "/"), "expired", url.PathEscape(destination), item.night}
	for element := range strings.SplitSeq(item.file.Path, "/") {
		elements = append(elements, url.PathEscape(element))
	}
	return strings.Join(elements, "/")
}
