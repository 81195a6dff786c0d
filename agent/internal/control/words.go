package control

import (
	"fmt"
	"strings"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/agent/internal/fetch"
	"github.com/wolkvox/backup/agent/internal/night"
	"github.com/wolkvox/backup/agent/internal/uplink"
)

// words are the sentences about what people do by hand, in the language of the configuration.
type words struct{ spanish bool }

func (d Destination) words() words { return words{d.Faults.Language == fault.Spanish} }

func (w words) say(english, spanish string, args ...any) string {
	if w.spanish {
		english = spanish
	}
	return strings.ToValidUTF8(fmt.Sprintf(english, args...), "?")
}

// notFetched says why some recordings were not fetched: the commonest reason that there is, or what ended it all.
func (w words) notFetched(left int64, done night.ByHand) string {
	why := ""
	if done.Err != nil {
		why = done.Err.Error()
	} else {
		for message, count := range done.Reasons {
			if why == "" || count > done.Reasons[why] || count == done.Reasons[why] && message < why {
				why = message
			}
		}
	}
	if why == "" {
		why = w.say("wolkvox did not serve them", "wolkvox no las entregó")
	}
	return w.say("%d recordings are not confirmed: %s", "%d grabaciones no están confirmadas: %s", left, why)
}

// notRead says why a recording cannot be had from the server; empty where it can.
func (w words) notRead(outcome fetch.Outcome) string {
	switch {
	case outcome.Unavailable == uplink.SourceChanged:
		return w.say("at wolkvox it is gone, or is not as it was sealed: wolkvox looks at it and takes it back",
			"en wolkvox ya no está, o no es la que se selló: wolkvox la revisa y la retira")
	case outcome.Unavailable == uplink.NotPending:
		return w.say("the log of wolkvox says that it is not expired any more", "el registro de wolkvox dice que ya no está vencida")
	case outcome.Unavailable != uplink.Available:
		return w.say("wolkvox cannot read it at the moment: try again later", "wolkvox no puede leerla en este momento: inténtelo más tarde")
	case outcome.Err != nil:
		return w.say("it came with other contents than were sealed: try again", "llegó con un contenido distinto del sellado: inténtelo de nuevo")
	}
	return ""
}

// refusal says why an offered file is not taken.
func (w words) refusal(m night.Match) string {
	switch {
	case m.State == backup.Released:
		return w.say("it is %s, which your own retention has deleted on purpose: nothing is missing", "es %s, que su propia retención borró a propósito: no falta nada", m.Paths[0])
	case m.State == backup.Withdrawn:
		return w.say("it is %s as it was before wolkvox took it back: it is not wanted any more", "es %s tal como era antes de que wolkvox la retirara: ya no se necesita", m.Paths[0])
	case m.State != 0:
		return w.say("it is %s, which is not missing", "es %s, que no falta", m.Paths[0])
	case m.Namesake != "":
		return w.say("it has the name of the recording %s, but other contents: it is damaged, or is another file", "tiene el nombre de la grabación %s, pero otro contenido: está dañado o es otro archivo", m.Namesake)
	case m.Double != "":
		return w.say("it has the size of the recording %s, but other contents: it is damaged, or is another file", "tiene el tamaño de la grabación %s, pero otro contenido: está dañado o es otro archivo", m.Double)
	}
	return w.say("no recording of this destination has these contents", "ninguna grabación de este destino tiene este contenido")
}

// before says of a file that it is confirmed already.
func (w words) before(m night.Match) string {
	return w.say("%s is confirmed already", "%s ya está confirmada", m.Paths[0])
}

// same says of a file that another one has its contents.
func (w words) same(name string) string {
	return w.say("it has the same contents as %s", "tiene el mismo contenido que %s", name)
}

// notTaken says why a wanted file is not confirmed.
func (w words) notTaken(id night.ItemID, done night.ByHand, signed bool) string {
	why, ok := done.Met[id]
	switch {
	case signed && done.Err != nil:
		return w.say("it is written and signed for, and the log does not say so yet: %v", "está escrita y firmada, y el registro aún no lo dice: %v", done.Err)
	case ok:
		return why
	case done.Err != nil:
		return done.Err.Error()
	}
	return w.say("the log changed meanwhile: run the import again", "el registro cambió entretanto: repita la importación")
}

// silent says that the command fell silent.
func (w words) silent() string {
	return w.say("the command has sent nothing for two minutes", "el comando no ha enviado nada en dos minutos")
}
