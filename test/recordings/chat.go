package recordings

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
)

// message is one line of a chat.
type message struct {
	Number int    `json:"number"`
	From   string `json:"from"`
	Text   string `json:"text"`
}

// writeChat writes whole messages, one at least, until there are sizeBytes.
func writeChat(w io.Writer, random *rand.Rand, kind Kind, sizeBytes int64) error {
	var b strings.Builder
	id := random.Uint64()
	if kind == ChatJSON {
		fmt.Fprintf(&b, `{"chat":"%016x","messages":[`, id)
	} else {
		fmt.Fprintf(&b, "Chat %016x\r\n", id)
	}
	for number := 1; number == 1 || int64(b.Len()) < sizeBytes; number++ {
		m := message{number, []string{"cliente", "agente"}[number%2], sentence(random)}
		if kind == ChatText {
			fmt.Fprintf(&b, "%s: %s\r\n", m.From, m.Text)
			continue
		}
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		if number > 1 {
			b.WriteByte(',')
		}
		b.Write(text)
	}
	if kind == ChatJSON {
		b.WriteString("]}\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func sentence(random *rand.Rand) string {
	words := [...]string{
		"buenos", "días", "señor", "gracias", "factura", "número", "pago", "mañana", "¿cómo?", "claro", "servicio",
		"línea", "ayuda", "pedido", "dirección", "cuenta", "sí", "no", "ahora", "momento",
	}
	chosen := make([]string, 3+random.IntN(12))
	for i := range chosen {
		chosen[i] = words[random.IntN(len(words))]
	}
	return strings.Join(chosen, " ") + "."
}
