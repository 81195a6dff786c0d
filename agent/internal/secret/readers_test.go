package secret

import (
	"slices"
	"testing"
	"unicode/utf16"
)

const (
	owner    = "S-1-5-21-1-2-3-1001"
	agent    = "S-1-5-80-4-5-6-7-8"
	somebody = "S-1-5-21-1-2-3-1002"
	everyone = "S-1-1-0"
)

func TestOthers(t *testing.T) {
	t.Parallel()
	const read, all, writeData, readAttributes, writeDAC, genericRead = 0x120089, 0x1f01ff, 0x2, 0x80, 0x40000, 0x80000000
	for name, test := range map[string]struct {
		grants []grant
		want   []string
	}{
		"nobody":             {nil, nil},
		"those who may":      {[]grant{{sidSystem, all}, {sidAdministrators, all}, {sidOwnerRights, all}, {owner, read}, {agent, read}}, nil},
		"everyone reads":     {[]grant{{agent, read}, {everyone, read}}, []string{everyone}},
		"twice":              {[]grant{{everyone, read}, {everyone, all}, {somebody, all}}, []string{everyone, somebody}},
		"generic":            {[]grant{{somebody, genericRead}}, []string{somebody}},
		"may let itself":     {[]grant{{somebody, writeDAC}}, []string{somebody}},
		"writes only":        {[]grant{{somebody, writeData}}, nil},
		"sees that there is": {[]grant{{everyone, readAttributes}}, nil},
	} {
		if got := others(test.grants, owner, agent); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestCredentialText(t *testing.T) {
	t.Parallel()
	encoded := func(text string) (blob []byte) {
		for _, unit := range utf16.Encode([]rune(text)) {
			blob = append(blob, byte(unit), byte(unit>>8))
		}
		return blob
	}
	for _, test := range []struct {
		blob []byte
		want string
	}{
		{nil, ""},
		{[]byte("contraseña"), "contraseña"},
		{[]byte("odd"), "odd"},
		{encoded("contraseña"), "contraseña"},
		{encoded("p"), "p"},
		{encoded("𝄞 clef"), "𝄞 clef"},
	} {
		if got := string(credentialText(test.blob)); got != test.want {
			t.Errorf("% x: %q, want %q", test.blob, got, test.want)
		}
	}
}
