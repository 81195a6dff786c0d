package alerts

import (
	"fmt"
	"strings"
	"time"
)

// maxShown is how many alerts a message tells of one by one.
const maxShown = 50

// words are the sentences of one language. What each alert says is: what is wrong, the cause, whose affair it is, and what
// to do next.
type words struct {
	digest, urgent   string // subjects, with a count
	hello, more, end string
	cause, party     string
	next             string
	parties          map[string]string
	kinds            map[Kind]sentence
}

// sentence is what a kind says: what is wrong, its cause where no fault is known, and the next step.
type sentence struct {
	what      func(a Alert) string
	because   string
	nextSteps string
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// wordsOf returns the words of a language, English where it is unknown.
func wordsOf(language string) words {
	if language == "es" {
		return spanish()
	}
	return english()
}

func english() words {
	return words{
		digest: "wolkvox backup: %d things to look at", urgent: "wolkvox backup: recordings expire soon (%d)",
		hello: "This is what somebody has to do something about.", more: "… and %d more.", end: "You get this at most once a day, and once more 72, 24 and 6 hours before recordings expire.",
		cause: "Cause", party: "Whose affair", next: "Next step",
		parties: map[string]string{"client": "the client's", "cloud-provider": "the cloud provider's", "network": "the network's", "wolkvox": "wolkvox'"},
		kinds: map[Kind]sentence{
			KindExpiring: {func(a Alert) string {
				if a.Estimated {
					return fmt.Sprintf("%d recordings of the night %s are pending and expire on %s; no night was measured yet", a.Count, a.Subject, moment(a.At))
				}
				return fmt.Sprintf("%d of the %d pending recordings of the night %s expire on %s if nights go on as the last ones, which brought %d each", a.Count, a.Pending, a.Subject, moment(a.At), a.PerNight)
			}, "the nights bring less than is pending", "remove the cause; or fetch by hand what matters most, or ask wolkvox for a later deadline, before it has passed"},
			KindBilling: {func(a Alert) string {
				return fmt.Sprintf("the storage provider has stopped the account for its bill, seen last on %s", moment(a.At))
			}, "the account is not paid", "pay the bill or renew the account at the provider; nothing else has to be done"},
			KindNotSealed: {func(a Alert) string {
				return fmt.Sprintf("the night %s is not sealed, which was due by %s", a.Subject, moment(a.At))
			}, "a source cannot be reached, or the server was not there", "wolkvox looks at `wolkvox-server source list` and seals with `wolkvox-server seal`"},
			KindStalled: {func(a Alert) string {
				return fmt.Sprintf("%d recordings are pending, and none was confirmed since %s", a.Count, moment(a.At))
			}, "no fault was reported: the agent may be off, paused, or outside its window", "run `wolkvox-agent status` on the agent's machine"},
			KindSilent: {func(a Alert) string {
				if !a.HeardBefore {
					return fmt.Sprintf("the agent %s was never heard since it enrolled on %s", a.Subject, moment(a.At))
				}
				return fmt.Sprintf("the agent %s is not heard since %s", a.Subject, moment(a.At))
			}, "its machine or service is off, or it cannot reach wolkvox", "see that the machine runs and the service wolkvox-agent too, and that it may reach the server"},
			KindSmall: {func(a Alert) string {
				return fmt.Sprintf("the night %s has %d recordings, and such a weekday usually %d", a.Subject, a.Count, a.Usual)
			}, "there were few calls, or recordings were not where they should be", "compare with the calls of that day; if recordings are missing, wolkvox looks at its sources"},
			KindCertificate: {func(a Alert) string {
				return fmt.Sprintf("the certificate of %s ends on %s", a.Subject, moment(a.At))
			}, "it was not renewed, which happens by itself long before", "see that the agent runs and reaches the server; after the end it has to be enrolled anew"},
		},
	}
}

func spanish() words {
	return words{
		digest: "Copias de wolkvox: %d asuntos por atender", urgent: "Copias de wolkvox: hay grabaciones por vencer (%d)",
		hello: "Esto es lo que alguien tiene que atender.", more: "… y %d más.", end: "Recibe este resumen como máximo una vez al día, y un aviso más 72, 24 y 6 horas antes de que venzan grabaciones.",
		cause: "Causa", party: "A quién corresponde", next: "Qué hacer",
		parties: map[string]string{"client": "al cliente", "cloud-provider": "al proveedor de nube", "network": "a la red", "wolkvox": "a wolkvox"},
		kinds: map[Kind]sentence{
			KindExpiring: {func(a Alert) string {
				if a.Estimated {
					return fmt.Sprintf("%d grabaciones de la noche %s están pendientes y vencen el %s; aún no se ha medido ninguna noche", a.Count, a.Subject, moment(a.At))
				}
				return fmt.Sprintf("%d de las %d grabaciones pendientes de la noche %s vencen el %s si las noches siguen como las últimas, que trajeron %d cada una", a.Count, a.Pending, a.Subject, moment(a.At), a.PerNight)
			}, "las noches traen menos de lo que está pendiente", "elimine la causa; o traiga a mano lo más importante, o pida a wolkvox un plazo mayor antes de que termine"},
			KindBilling: {func(a Alert) string {
				return fmt.Sprintf("el proveedor de almacenamiento ha suspendido la cuenta por falta de pago; visto por última vez el %s", moment(a.At))
			}, "la cuenta no está pagada", "pague la factura o renueve la cuenta con el proveedor; no hace falta nada más"},
			KindNotSealed: {func(a Alert) string {
				return fmt.Sprintf("la noche %s no se ha sellado, y debía estarlo antes del %s", a.Subject, moment(a.At))
			}, "no se llega a un origen, o el servidor no estaba disponible", "wolkvox revisa `wolkvox-server source list` y sella con `wolkvox-server seal`"},
			KindStalled: {func(a Alert) string {
				return fmt.Sprintf("hay %d grabaciones pendientes y ninguna se ha confirmado desde el %s", a.Count, moment(a.At))
			}, "no se informó de ningún fallo: el agente puede estar apagado, en pausa o fuera de su ventana", "ejecute `wolkvox-agent status` en la máquina del agente"},
			KindSilent: {func(a Alert) string {
				if !a.HeardBefore {
					return fmt.Sprintf("el agente %s no ha dado señal desde que se inscribió el %s", a.Subject, moment(a.At))
				}
				return fmt.Sprintf("el agente %s no da señal desde el %s", a.Subject, moment(a.At))
			}, "su máquina o su servicio están apagados, o no llega a wolkvox", "compruebe que la máquina y el servicio wolkvox-agent están en marcha y que llega al servidor"},
			KindSmall: {func(a Alert) string {
				return fmt.Sprintf("la noche %s tiene %d grabaciones, y ese día de la semana suele tener %d", a.Subject, a.Count, a.Usual)
			}, "hubo pocas llamadas, o las grabaciones no estaban donde debían", "compare con las llamadas de ese día; si faltan grabaciones, wolkvox revisa sus orígenes"},
			KindCertificate: {func(a Alert) string {
				return fmt.Sprintf("el certificado de %s termina el %s", a.Subject, moment(a.At))
			}, "no se renovó, lo que ocurre por sí solo mucho antes", "compruebe que el agente funciona y llega al servidor; después habrá que inscribirlo de nuevo"},
		},
	}
}

// write returns the text of a message about alerts.
func (w words) write(all []Alert) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n", w.hello)
	for i, a := range all {
		if i == maxShown {
			fmt.Fprintf(&text, "\n"+w.more+"\n", len(all)-maxShown)
			break
		}
		s := w.kinds[a.Kind]
		cause := s.because
		if a.Fault != "" {
			cause = fmt.Sprintf("%s (%s)", a.Fault, a.FaultClass)
		}
		party := w.parties[a.Party]
		if party == "" {
			party = a.Party
		}
		fmt.Fprintf(&text, "\n%s%s\n  %s: %s\n  %s: %s\n  %s: %s\n", where(a), s.what(a), w.cause, cause, w.party, party, w.next, s.nextSteps)
	}
	fmt.Fprintf(&text, "\n%s\n", w.end)
	return text.String()
}

func where(a Alert) string {
	switch {
	case a.Tenant == "":
		return ""
	case a.Destination == "":
		return a.Tenant + ": "
	}
	return a.Tenant + "/" + a.Destination + ": "
}
