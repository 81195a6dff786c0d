package operator

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

func (a *app) nightCommand() *cobra.Command {
	command := group(&cobra.Command{
		Use:     "night",
		Short:   "Certify what became of a night whose time has passed",
		Example: `  wolkvox-server night certificate acme nas 7 > certificate.txt`,
	})
	command.AddCommand(a.certificateCommand())
	return command
}

func (a *app) certificateCommand() *cobra.Command {
	language := "en"
	command := &cobra.Command{
		Use:   "certificate TENANT DESTINATION MANIFEST",
		Short: "Show the expiry certificate of a manifest that was closed",
		Long: `Shows what became of a manifest whose time has passed: what is expired and why, what the
log says of it, who was heard when, and which notices are kept. What the log says can be
proved from it; the rest is the server's own record, which nobody signs, and says so.
With --output json every part is an object on a line of its own: the certificate, then
each expired recording.`,
		Example: `  wolkvox-server night certificate acme nas 7
  wolkvox-server night certificate acme nas 7 --language es --credential ana.pem`,
		Args: exactly("TENANT", "DESTINATION", "MANIFEST"),
		RunE: func(c *cobra.Command, args []string) error {
			manifest, err := strconv.ParseInt(args[2], 10, 64)
			if err != nil || manifest < 1 {
				return usage("MANIFEST is %q; give its number, from 1: see `wolkvox-server nights`", args[2])
			}
			words, ok := certificateWords[language]
			if !ok {
				return usage("--language is %q; give en or es", language)
			}
			return a.call(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				return a.showCertificate(ctx, admin, words, &backupv1.ReadExpiryCertificateRequest{Tenant: args[0], Destination: args[1], Manifest: manifest})
			})
		},
	}
	command.Flags().StringVar(&language, "language", language, "en or es")
	return command
}

func (a *app) showCertificate(ctx context.Context, admin backupv1.AdminServiceClient, words certificateText, request *backupv1.ReadExpiryCertificateRequest) error {
	stream, err := admin.ReadExpiryCertificate(ctx, request)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return w.Flush()
		}
		if err != nil {
			return err
		}
		if a.output == outputJSON {
			if err := a.certificateJSON(part); err != nil {
				return err
			}
			continue
		}
		if c := part.GetCertificate(); c != nil {
			words.write(w, c)
		}
		for _, item := range part.GetItems() {
			words.writeItem(w, item)
		}
	}
}

// certificateJSON writes the certificate, or each item of a part, on a line of its own.
func (a *app) certificateJSON(part *backupv1.ReadExpiryCertificateResponse) error {
	var lines [][]byte
	if part.GetCertificate() != nil {
		text, err := wire.CompactJSON(part.GetCertificate())
		if err != nil {
			return err
		}
		lines = append(lines, text)
	}
	for _, item := range part.GetItems() {
		text, err := wire.CompactJSON(item)
		if err != nil {
			return err
		}
		lines = append(lines, text)
	}
	for _, line := range lines {
		if _, err := a.stdout.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// certificateText is what a certificate says in one language.
type certificateText struct {
	title, made, origin, storage, night, sealed, root, counts, deadlines, kept string
	entries, entryHead, faults, faultHead, noFaults, lastOnly                  string
	notices, noNotices, alarms, noAlarms, agent, noAgent, heard, neverHeard    string
	log, head, noHead, agreed, noAgreed, proves, expired, itemHead, noExpired  string
}

var certificateWords = map[string]certificateText{
	"en": {
		title: "EXPIRY CERTIFICATE", made: "made on %s", origin: "ledger", storage: "storage: %s, tried again for %d days",
		night: "manifest %d of the night %s: %d recordings, %s", sealed: "sealed", root: "root of its lines",
		counts:    "now: %d confirmed, %d pending, %d expired, %d declined, %d released, %d withdrawn, %d forgotten",
		deadlines: "deadline: at first %s, at last %s", kept: "wolkvox keeps the recordings until %s at least",
		entries: "WHAT THE LOG SAYS OF IT (can be proved)", entryHead: "ENTRY\tTIME\tKIND\tRECORDINGS\tDETAIL",
		faults: "FAULTS (the server's own record, as the agent reported them)", faultHead: "LAST SEEN\tRECORDINGS\tOF THEM EXPIRED\tATTEMPTS\tFAULT",
		noFaults: "none are kept: of what is confirmed, or was never tried, there are none", lastOnly: "Of each recording that is not confirmed the last fault is kept, and not the first; times are those of the agent's clock.",
		notices: "NOTICES GIVEN", noNotices: "none kept: the server keeps no record of notices",
		alarms: "ALARMS THAT STAND", noAlarms: "none", agent: "WHO WAS HEARD (the server's own record)", noAgent: "the log names no agent",
		heard:      "agent %s: last heard %s; its last heartbeat with an empty outbox echoed the server's time %s",
		neverHeard: "agent %s: never heard, as far as this server knows: a night is then closed when the server itself was up for 24 hours beyond the deadline",
		log:        "made from the log of %s", head: "signed by the server:", noHead: "the server keeps no signed head of this size", agreed: "signed by both sides:",
		noAgreed: "no head was signed by both sides",
		proves:   "Whoever holds the heads can prove every entry above; faults, notices and who was heard are wolkvox's own record, and nobody signs them.",
		expired:  "EXPIRED NOW", itemHead: "INDEX\tSIZE\tSHA-256\tPATH\tLAST FAULT", noExpired: "nothing: all of it was brought, declined or taken back",
	},
	"es": {
		title: "CERTIFICADO DE VENCIMIENTO", made: "hecho el %s", origin: "registro", storage: "almacenamiento: %s, se reintentó durante %d días",
		night: "manifiesto %d de la noche %s: %d grabaciones, %s", sealed: "sellado", root: "raíz de sus líneas",
		counts:    "ahora: %d confirmadas, %d pendientes, %d vencidas, %d rechazadas, %d liberadas, %d retiradas, %d olvidadas",
		deadlines: "plazo: al principio %s, al final %s", kept: "wolkvox conserva las grabaciones al menos hasta %s",
		entries: "LO QUE DICE EL REGISTRO (se puede demostrar)", entryHead: "ENTRADA\tFECHA\tCLASE\tGRABACIONES\tDETALLE",
		faults: "FALLOS (anotación del propio servidor, tal como los informó el agente)", faultHead: "VISTO POR ÚLTIMA VEZ\tGRABACIONES\tVENCIDAS\tINTENTOS\tFALLO",
		noFaults: "no se conserva ninguno: de lo confirmado, o nunca intentado, no los hay", lastOnly: "De cada grabación no confirmada se conserva el último fallo, no el primero; las fechas son del reloj del agente.",
		notices: "AVISOS DADOS", noNotices: "no se conserva ninguno: el servidor no anota los avisos",
		alarms: "ALARMAS VIGENTES", noAlarms: "ninguna", agent: "A QUIÉN SE OYÓ (anotación del propio servidor)", noAgent: "el registro no nombra a ningún agente",
		heard:      "agente %s: oído por última vez el %s; su último latido con la bandeja vacía repitió la hora del servidor %s",
		neverHeard: "agente %s: nunca oído, que este servidor sepa: entonces una noche se cierra cuando el propio servidor llevó 24 horas en marcha después del plazo",
		log:        "hecho a partir del registro de %s", head: "firmada por el servidor:", noHead: "el servidor no conserva ninguna cabeza firmada de este tamaño", agreed: "firmada por ambas partes:",
		noAgreed: "ninguna cabeza fue firmada por ambas partes",
		proves:   "Quien tenga las cabezas puede demostrar cada entrada; los fallos, los avisos y a quién se oyó son anotaciones de wolkvox que nadie firma.",
		expired:  "VENCIDAS AHORA", itemHead: "ÍNDICE\tTAMAÑO\tSHA-256\tRUTA\tÚLTIMO FALLO", noExpired: "nada: todo se trajo, se rechazó o se retiró",
	},
}

func (t certificateText) write(w *tabwriter.Writer, c *backupv1.ExpiryCertificate) {
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	n, counts := c.GetNight(), c.GetNight().GetCounts()
	line("%s", t.title)
	line(t.made, instant(c.GetMakeTime()))
	line("%s: %s", t.origin, c.GetOrigin())
	line(t.storage, label(c.GetStorageKind(), "STORAGE_KIND_"), c.GetWindowDays())
	line(t.night, n.GetManifest(), n.GetNight(), n.GetItemCount(), bytesText(n.GetSizeBytes()))
	line("%s: %s; %s: %x", t.sealed, instant(n.GetSealedTime()), t.root, c.GetRoot())
	line(t.counts, counts.GetConfirmedCount(), counts.GetPendingCount(), counts.GetExpiredCount(), counts.GetWaivedCount(), counts.GetReleasedCount(), counts.GetWithdrawnCount(), counts.GetForgottenCount())
	line(t.deadlines, instant(c.GetFirstDeadlineTime()), instant(n.GetDeadlineTime()))
	if c.GetSourceKeptTime() != nil {
		line(t.kept, instant(c.GetSourceKeptTime()))
	}
	line("\n%s\n%s", t.entries, t.entryHead)
	for _, e := range c.GetEntries() {
		detail := e.GetDetail()
		if e.GetDeadlineTime() != nil {
			detail = strings.TrimSpace(detail + " " + instant(e.GetDeadlineTime()))
		}
		count := fmt.Sprint(e.GetItemCount())
		if k := e.GetCounts(); k != nil {
			count = fmt.Sprint(k.GetExpiredCount())
			detail = fmt.Sprintf("confirmed %d, expired %d, waived %d, withdrawn %d", k.GetConfirmedCount(), k.GetExpiredCount(), k.GetWaivedCount(), k.GetWithdrawnCount())
		}
		row(w, e.GetIndex(), instant(e.GetMakeTime()), e.GetKind(), count, detail)
	}
	line("\n%s", t.faults)
	if len(c.GetFaults()) == 0 {
		line("%s", t.noFaults)
	} else {
		line("%s\n%s", t.lastOnly, t.faultHead)
	}
	for _, f := range c.GetFaults() {
		row(w, instant(f.GetFault().GetLastTime()), f.GetItemCount(), f.GetExpiredCount(), f.GetFault().GetAttemptCount(), faultText(f.GetFault()))
	}
	line("\n%s", t.notices)
	if len(c.GetNotices()) == 0 {
		line("%s", t.noNotices)
	}
	for _, notice := range c.GetNotices() {
		row(w, notice)
	}
	line("\n%s", t.alarms)
	if len(c.GetAlarms()) == 0 {
		line("%s", t.noAlarms)
	}
	for _, alarm := range c.GetAlarms() {
		row(w, alarm)
	}
	line("\n%s", t.agent)
	switch {
	case c.GetAgent() == "":
		line("%s", t.noAgent)
	case c.GetHeardTime() == nil:
		line(t.neverHeard, c.GetAgent())
	default:
		line(t.heard, c.GetAgent(), instant(c.GetHeardTime()), orDash(instant(c.GetEchoedTime())))
	}
	t.writeHeads(line, c)
	line("\n%s", t.expired)
	if counts.GetExpiredCount() == 0 {
		line("%s", t.noExpired)
	} else {
		line("%s", t.itemHead)
	}
}

func (t certificateText) writeHeads(line func(string, ...any), c *backupv1.ExpiryCertificate) {
	line("\n"+t.log, position(c.GetPosition()))
	agreed, err := wire.HeadPosition(c.GetAgreedHead())
	switch {
	case len(c.GetHead()) > 0:
		line("%s %s", t.head, base64.StdEncoding.EncodeToString(c.GetHead()))
	case err != nil || agreed.GetSize() != c.GetPosition().GetSize():
		line("%s", t.noHead)
	}
	if len(c.GetAgreedHead()) > 0 {
		line("%s %s", t.agreed, base64.StdEncoding.EncodeToString(c.GetAgreedHead()))
	} else {
		line("%s", t.noAgreed)
	}
	line("%s", t.proves)
}

func (t certificateText) writeItem(w *tabwriter.Writer, item *backupv1.Item) {
	path := item.GetPath()
	if path == "" {
		path = "(erased)"
	}
	row(w, item.GetIndex(), bytesText(item.GetSizeBytes()), fmt.Sprintf("%x", item.GetSha256()), path, faultText(item.GetLastFault()))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
