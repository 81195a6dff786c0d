package config

import "fmt"

// Wolkvox is wolkvox Storage: the server that the agent is enrolled at keeps the recordings. It needs no login of its own.
type Wolkvox struct {
	// Check is how what is stored is compared: "service" (the default: the service reads what it stored again and hashes it) or
	// "readback" (everything is read back over the line too).
	Check string `yaml:"check"`
}

// CheckService is the default of [Wolkvox.Check].
const CheckService = "service"

func (w *Wolkvox) check() error {
	if w.Check == "" {
		w.Check = CheckService
	}
	if w.Check != CheckService && w.Check != CheckReadback {
		return fmt.Errorf("check is %q; give %s or %s", w.Check, CheckService, CheckReadback)
	}
	return nil
}
