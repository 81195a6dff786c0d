package source

import "testing"

// FuzzParseMarker takes only the text that a marker of its id has.
func FuzzParseMarker(f *testing.F) {
	f.Add(formatMarker("00112233445566778899aabbccddeeff"))
	f.Add("wolkvox-source 00112233445566778899AABBCCDDEEFF\n")
	f.Add("wolkvox-source \n")
	f.Fuzz(func(t *testing.T, text string) {
		if id, ok := parseMarker(text); ok && (len(id) != 32 || formatMarker(id) != text) {
			t.Errorf("%q is read as the id %q", text, id)
		}
	})
}
