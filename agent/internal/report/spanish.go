package report

import (
	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/fault"
)

func spanish() words {
	return words{
		title: "Informe de respaldo", period: "Noches", made: "Elaborado", zone: "Zona horaria", place: "Destino", agreed: "Registro firmado por ambas partes",
		nothingAgreed: "ambas partes aún no han firmado nada", entries: "entradas, raíz", language: "es",
		silence:  "El agente no sabe qué selló wolkvox últimamente: {why}",
		findings: "En resumen", plotItems: "Grabaciones por noche", plotSound: "Horas de audio por noche", causes: "Por qué hay grabaciones sin confirmar",
		unrecorded: "Interacciones sin grabación", nights: "Noche por noche", files: "Grabaciones", meaning: "Qué significan las palabras", total: "Total", other: "Otras",
		night: "Noche", expected: "Esperadas", size: "Tamaño", sound: "Audio", withoutRecording: "Sin grabar", cause: "Causa", party: "A quién corresponde",
		code: "Código", recordings: "Grabaciones", reason: "Motivo", count: "Interacciones",
		name: "Nombre", kind: "Tipo", recorded: "Grabada", interaction: "Interacción", duration: "Duración", state: "Estado", until: "hasta",
		whole: "de", none: "–", nothing: "No hay grabaciones en este período.",
		states: map[backup.State]string{backup.Pending: "Pendientes", backup.Confirmed: "Confirmadas", backup.Expired: "Vencidas", backup.Waived: "Renunciadas",
			backup.Released: "Liberadas", backup.Withdrawn: "Retiradas", backup.Forgotten: "Borradas"},
		one: map[backup.State]string{backup.Pending: "Pendiente", backup.Confirmed: "Confirmada", backup.Expired: "Vencida", backup.Waived: "Renunciada",
			backup.Released: "Liberada", backup.Withdrawn: "Retirada", backup.Forgotten: "Borrada"},
		standings: map[Standing]string{Empty: "sin grabaciones; wolkvox selló una noche vacía", NotSealed: "no se selló: pregunte a wolkvox",
			Unknown: "wolkvox no ha informado", NotDue: "aún no corresponde", Before: "anterior a este destino", Ended: "posterior al fin de este destino"},
		classes: map[string]string{
			fault.ClassBilling: "Cuenta sin pagar", fault.ClassCredential: "Acceso rechazado", fault.ClassPermission: "Sin permiso", fault.ClassClock: "Relojes distintos",
			fault.ClassThrottle: "Demasiadas solicitudes", fault.ClassCapacity: "Destino lleno", fault.ClassQuota: "Cuota agotada", fault.ClassDestLost: "Destino perdido",
			fault.ClassDestConfig: "Destino inadecuado", fault.ClassImmutable: "No se puede cambiar", fault.ClassIntegrity: "Contenido distinto", fault.ClassName: "Nombre imposible",
			fault.ClassNetwork: "Red", fault.ClassTransient: "Problema pasajero", fault.ClassSource: "Origen ilegible", fault.ClassClientBug: "Error del agente",
			fault.ClassLocal: "Máquina del agente", fault.ClassOther: "Otra",
		},
		parties: map[string]string{fault.PartyClient: "cliente", fault.PartyCloudProvider: "proveedor de nube", fault.PartyNetwork: "red", fault.PartyWolkvox: "wolkvox"},
		reasons: map[string]string{"abandoned": "Quien llamó colgó", "not-answered": "Sin respuesta", "not-recorded": "Grabación desactivada", "failed": "Falló la grabación",
			"other": "Otro", "missing": "Faltaba el archivo", "differs": "El archivo difiere de lo anunciado"},
		weekdays:      [7]string{"dom", "lun", "mar", "mié", "jue", "vie", "sáb"},
		months:        [12]string{"ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sep", "oct", "nov", "dic"},
		allConfirmed:  [2]string{"La única grabación esperada está confirmada.", "Las {n} grabaciones esperadas están confirmadas."},
		someConfirmed: [2]string{"{n} de {m} grabaciones esperadas está confirmada ({share}).", "{n} de {m} grabaciones esperadas están confirmadas ({share})."},
		noneExpected:  [2]string{"No se esperaban grabaciones.", "No se esperaban grabaciones."},
		expired: [2]string{"{n} grabación venció: no se copió a tiempo y hay que trasladarla a mano.",
			"{n} grabaciones vencieron: no se copiaron a tiempo y hay que trasladarlas a mano."},
		pending: [2]string{"{n} grabación está pendiente; se intenta hasta el {date} ({days}).",
			"{n} grabaciones están pendientes; la primera se intenta hasta el {date} ({days})."},
		notSealed:    [2]string{"{n} noche no se selló. No es una noche sin llamadas: pregunte a wolkvox qué pasó.", "{n} noches no se sellaron. No son noches sin llamadas: pregunte a wolkvox qué pasó."},
		notHeard:     [2]string{"De {n} noche aún no hay noticias de wolkvox.", "De {n} noches aún no hay noticias de wolkvox."},
		empty:        [2]string{"{n} noche no tuvo grabaciones, y wolkvox lo firmó.", "{n} noches no tuvieron grabaciones, y wolkvox lo firmó."},
		unmeasured:   [2]string{"De {n} grabación no se conoce la duración; las horas no la incluyen.", "De {n} grabaciones no se conoce la duración; las horas no las incluyen."},
		interactions: [2]string{"{n} de {m} interacciones no tiene grabación.", "{n} de {m} interacciones no tienen grabación."},
		replaced:     [2]string{"{n} reemplazada", "{n} reemplazadas"}, days: [2]string{"queda {n} día", "quedan {n} días"},
		today: "queda menos de un día", passed: "el plazo terminó", most: "máximo {n}", measuredOnly: "sin {n}", erased: "borrada por orden legal",
		noFault: "Sin falla registrada",
		meanings: [][2]string{
			{"Esperadas", "lo que wolkvox selló para estas noches, menos lo que retiró."},
			{"Confirmadas", "están en el destino y allí se compararon con lo que wolkvox grabó; el registro tiene un recibo firmado."},
			{"Pendientes", "aún no están en el destino; se intentan cada noche hasta el día indicado."},
			{"Vencidas", "no se copiaron antes de ese día; el cliente las traslada a mano."},
			{"Renunciadas", "el cliente renunció a ellas."},
			{"Liberadas", "estuvieron confirmadas y después las eliminó la retención del propio cliente."},
			{"Borradas", "eliminadas por una orden legal."},
			{"Retiradas", "wolkvox las retiró; el reemplazo, si existe, se cuenta aparte."},
			{"Sin grabar", "interacciones de la noche que nunca tuvieron grabación."},
			{"Audio", "contado en las tramas del sonido, no en lo que un archivo dice de sí mismo."},
		},
	}
}
