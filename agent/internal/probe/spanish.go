package probe

import (
	"fmt"

	"github.com/wolkvox/backup/agent/internal/fault"
)

// say puts a line of the check's own into the words of the configured language. What drivers tell of their places, and errors
// that stand within a line, are English.
func (c *check) say(format string, values ...any) string {
	return say(c.probe.Faults.Language, format, values...)
}

func say(language fault.Language, format string, values ...any) string {
	if language == fault.Spanish {
		format = spanish()[format]
	}
	return fmt.Sprintf(format, values...)
}

// spanish returns the Spanish of every format that is said, which takes the same values.
func spanish() map[string]string {
	return map[string]string{
		"%s answers, and takes the agent for the user %s of this machine": "%s responde, y toma al agente por el usuario %s de este equipo",
		"%s answers":             "%s responde",
		"the folder is there":    "la carpeta está",
		"the login was accepted": "aceptó el inicio de sesión",
		"%s was not opened, because of what is said of %s":                                 "%s no se abrió, por lo que se dice de %s",
		"not tried, because of what is said of %s":                                         "no se probó, por lo que se dice de %s",
		"this is the place of %s":                                                          "este es el lugar de %s",
		"this is the place of the log that this one continues; the next run takes it over": "este es el lugar del registro que este continúa; la próxima ejecución lo asume",
		"not compared before this agent's ledger has taken the place over":                 "no se compara antes de que el registro de este agente haya asumido el lugar",
		"it keeps what was last signed and agreed":                                         "conserva lo último que se firmó y acordó",
		"not compared now: %v, and each batch compares it anyway":                          "no se compara ahora: %v, y cada lote lo compara de todos modos",
		"%v: make sure that the right share is mounted, and not an older copy of it; the next night first reads all that is " +
			"confirmed, signs for what is gone and copies it again, and asks before it does so for more than 1 %%": "%v: compruebe que esté montado el recurso " +
			"correcto, y no una copia anterior; la próxima noche lee primero todo lo confirmado, firma lo que falta y lo copia de nuevo, y pregunta antes si es más del 1 %%",
		"%v as soon as the server answers; keep the place as it is, and call wolkvox if this stays": "%v en cuanto responda el servidor; deje el lugar como está, y llame a wolkvox si esto sigue así",
		"a file was written":  "se escribió un archivo",
		"it was made durable": "quedó guardado de forma duradera",
		"it took its name, and another could not take it from it":                           "tomó su nombre, y otro no pudo quitárselo",
		"it reads back the same":                                                            "al leerlo de vuelta es igual",
		"the file is deleted when the place answers again, by the next check at the latest": "el archivo se borra cuando el lugar vuelva a responder, a más tardar en la próxima comprobación",
		"it was deleted, and nothing is left of the check":                                  "se borró, y nada queda de la comprobación",
		"the place does not tell how much is free: look at it there":                        "el lugar no dice cuánto espacio libre hay: mírelo allí",
		"the place does not tell":                                                           "el lugar no lo dice",
		"the place does not tell whether a quota leaves this user less than what is free":   "el lugar no dice si una cuota deja a este usuario menos de lo que hay libre",
		"%s are free, of which %s stay in reserve; nothing is pending":                      "hay %s libres, de los que %s quedan en reserva; no hay nada pendiente",
		"%s are free, of which %s stay in reserve, so nothing more is copied: free space there, or lower `reserve` in the configuration": "hay %s libres, de los que %s " +
			"quedan en reserva, así que no se copia nada más: libere espacio allí, o baje `reserve` en la configuración",
		"%s are free, of which %s stay in reserve; the %d recordings that are pending (%s) fit": "hay %s libres, de los que %s quedan en reserva; caben las %d grabaciones pendientes (%s)",
		"the place tells of no limit to the number of files":                                    "el lugar no dice que haya un límite de archivos",
		"%d more files fit": "caben %d archivos más",
		"the volume of the agent's own state has its reserve": "el volumen del estado del propio agente tiene su reserva",
		"wolkvox answers at %s, and nobody is in between":     "wolkvox responde en %s, y no hay nadie en medio",
		"wolkvox refuses this agent (%v): ask wolkvox for a join string, and run `wolkvox-agent enroll` with it": "wolkvox rechaza a este agente (%v): pida a wolkvox una " +
			"cadena de inscripción, y ejecute `wolkvox-agent enroll` con ella",
		"wolkvox at %s has not answered for %v: check the name, the port, the firewall and the proxy":  "wolkvox en %s no ha respondido en %v: revise el nombre, el puerto, el cortafuegos y el proxy",
		"wolkvox at %s gives no answer that helps (%v): it is tried again; call wolkvox if this stays": "wolkvox en %s no da una respuesta que sirva (%v): se intenta de nuevo; llame a wolkvox si esto sigue así",
		"the agent's certificate ended on %s: keep the server reachable, which may still renew it; if this stays, " +
			"ask wolkvox for a join string, and run `wolkvox-agent enroll` with it": "el certificado del agente terminó el %s: mantenga el servidor accesible, que aún puede renovarlo; " +
			"si esto sigue así, pida a wolkvox una cadena de inscripción, y ejecute `wolkvox-agent enroll` con ella",
		"no renewal was tried yet": "aún no se ha intentado renovarlo",
		"the agent's certificate ends in %s and was not renewed (%s): keep the server reachable, and call wolkvox if this stays": "el certificado del agente termina en %s y no se " +
			"ha renovado (%s): mantenga el servidor accesible, y llame a wolkvox si esto sigue así",
		"the agent's certificate lasts for another %s, and renews itself": "el certificado del agente dura %s más, y se renueva solo",
		"not compared before the server is heard":                         "no se compara antes de oír al servidor",
		"it differs from wolkvox's by %v":                                 "difiere del de wolkvox en %v",
		"this machine's clock is %s ahead of wolkvox's: correct it; nothing is decided by it, and recordings are copied and signed for all the same": "el reloj de este equipo va %s " +
			"por delante del de wolkvox: corríjalo; nada se decide por él, y las grabaciones se copian y se firman igual",
		"this machine's clock is %s behind wolkvox's: correct it; nothing is decided by it, and recordings are copied and signed for all the same": "el reloj de este equipo va %s " +
			"por detrás del de wolkvox: corríjalo; nada se decide por él, y las grabaciones se copian y se firman igual",
		"%d days":    "%d días",
		"%d hours":   "%d horas",
		"%d minutes": "%d minutos",
	}
}
