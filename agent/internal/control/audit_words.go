package control

import (
	"fmt"
	"strings"

	"github.com/wolkvox/backup/agent/internal/audit"
	"github.com/wolkvox/backup/agent/internal/fault"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func auditLevels() map[audit.Level]backupv1.AuditLevel {
	return map[audit.Level]backupv1.AuditLevel{
		audit.List: backupv1.AuditLevel_AUDIT_LEVEL_LIST,
		audit.Read: backupv1.AuditLevel_AUDIT_LEVEL_READ,
	}
}

func auditClasses() map[audit.Class]backupv1.AuditClass {
	return map[audit.Class]backupv1.AuditClass{
		audit.Missing:    backupv1.AuditClass_AUDIT_CLASS_MISSING,
		audit.Altered:    backupv1.AuditClass_AUDIT_CLASS_ALTERED,
		audit.Unreadable: backupv1.AuditClass_AUDIT_CLASS_UNREADABLE,
		audit.Extra:      backupv1.AuditClass_AUDIT_CLASS_EXTRA,
		audit.Released:   backupv1.AuditClass_AUDIT_CLASS_RELEASED,
	}
}

func auditOutcomes() map[string]backupv1.AuditOutcome {
	return map[string]backupv1.AuditOutcome{
		audit.Complete:    backupv1.AuditOutcome_AUDIT_OUTCOME_COMPLETE,
		audit.Suspicious:  backupv1.AuditOutcome_AUDIT_OUTCOME_SUSPICIOUS,
		audit.NotSigned:   backupv1.AuditOutcome_AUDIT_OUTCOME_NOT_SIGNED,
		audit.Unreachable: backupv1.AuditOutcome_AUDIT_OUTCOME_UNREACHABLE,
		audit.Partial:     backupv1.AuditOutcome_AUDIT_OUTCOME_PARTIAL,
	}
}

// auditMessage says how an audit ended, whose matter that is, and what is next.
func (d Destination) auditMessage(r audit.Report) string {
	spanish := d.Faults.Language == fault.Spanish
	var all []string
	say := func(english, spanishText string, values ...any) {
		format := english
		if spanish {
			format = spanishText
		}
		all = append(all, fmt.Sprintf(format, values...))
	}
	c := r.Counts
	if r.WentBack {
		say("%s is an older copy of itself, as after a restored snapshot: find out who put it back.",
			"%s es una copia anterior de sí mismo, como tras restaurar una instantánea: averigüe quién lo hizo.", d.Location)
	}
	switch r.Outcome {
	case audit.Unreachable:
		say("%s %d of %d recordings were looked at before, and nothing was signed: what cannot be reached is not missing. The same command goes on there.",
			"%s Antes se revisaron %d de %d grabaciones y no se firmó nada: lo que no se alcanza no falta. El mismo comando continúa ahí.", r.Cause, c.Looked, c.Wanted)
		return strings.Join(all, " ")
	case audit.Partial:
		say("Not all could be looked at: %s.", "No se pudo revisar todo: %s.", r.Cause)
	}
	if c.Lost() == 0 && c.Unreadable == 0 {
		say("All %d recordings that were looked at are there as they were.", "Las %d grabaciones revisadas están como estaban.", c.Looked-c.Released)
	} else {
		say("Of %d recordings %d are missing, %d altered and %d unreadable.", "De %d grabaciones faltan %d, hay %d alteradas y %d ilegibles.", c.Looked, c.Missing, c.Altered, c.Unreadable)
	}
	switch {
	case r.Outcome == audit.Suspicious:
		say("That is more than 1 %%, and nothing was signed (%s): make sure that it is the right place, whole and mounted. Then run the audit again, or "+
			"accept it with `wolkvox-agent destination accept-losses %s` and run it again.",
			"Es más del 1 %%, y no se firmó nada (%s): compruebe que sea el lugar correcto, completo y montado. Después repita la auditoría, o acéptelo con "+
				"`wolkvox-agent destination accept-losses %s` y repítala.", r.Cause, d.Name)
	case r.Outcome == audit.NotSigned:
		say("It could not be signed now (%s): run the audit again when that has passed.", "No se pudo firmar ahora (%s): repita la auditoría cuando haya pasado.", r.Cause)
	case r.Signed > 0 && (d.Night.Repair || c.Altered == 0):
		say("Signed as lost, which is the client's matter: %d. The next night copies those again that wolkvox still tries, what was altered is moved to .wolkvox/aside "+
			"before, and the others are expired.",
			"Firmadas como perdidas, lo que es asunto del cliente: %d. La próxima noche copia de nuevo las que wolkvox aún intenta, lo alterado se mueve antes a "+
				".wolkvox/aside, y las demás quedan vencidas.", r.Signed)
	case r.Signed > 0:
		say("Signed as lost, which is the client's matter: %d. The next night copies those again that wolkvox still tries. What was altered is left as it is and in "+
			"the way: move it away before.",
			"Firmadas como perdidas, lo que es asunto del cliente: %d. La próxima noche copia de nuevo las que wolkvox aún intenta. Lo alterado se deja como está y "+
				"estorba: muévalo antes.", r.Signed)
	}
	if r.Recovered > 0 {
		say("As they should be when they were looked at again: %d.", "Correctas al revisarlas de nuevo: %d.", r.Recovered)
	}
	if c.Unreadable > 0 {
		say("What cannot be read is not lost: give the agent's user the right to read it, or look after the disk, and run the audit again.",
			"Lo ilegible no está perdido: dé al usuario del agente el permiso de lectura, o revise el disco, y repita la auditoría.")
	}
	if c.Released > 0 {
		say("Absent because your own retention removed them: %d.", "Ausentes porque su propia retención las eliminó: %d.", c.Released)
	}
	if c.Extra > 0 {
		say("Files that are in no manifest, and were not touched: %d.", "Archivos que no están en ningún manifiesto, y no se tocaron: %d.", c.Extra)
	}
	return strings.Join(all, " ")
}
