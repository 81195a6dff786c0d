package ledger

import (
	"bytes"
	"testing"
)

func FuzzParseEntry(f *testing.F) {
	b := basicLog(f)
	for _, leaf := range b.oneOfEach() {
		f.Add(leaf)
	}
	f.Add(b.leaves[0])
	f.Fuzz(func(t *testing.T, leaf []byte) {
		e, err := ParseEntry(leaf)
		if reasonOf(t, err) != "" {
			return
		}
		text := e.appendText(nil)
		if got := textOf(t, leaf); got != string(text) {
			t.Errorf("%q is written as %q", got, text)
		}
		again, refused := parseEntryText(text)
		if refused != nil || !bytes.Equal(again.appendText(nil), text) {
			t.Errorf("%q is read again as %+v, %v", text, again, refused)
		}
	})
}

func FuzzParseSet(f *testing.F) {
	for _, s := range []string{"0", "0-1999,2004", "3,5-7", "3999999", "1-0", "01", ","} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		set, err := ParseSet(s)
		if reasonOf(t, err) == "" && set.String() != s {
			t.Errorf("%q is written as %q", s, set)
		}
	})
}

func FuzzParseLine(f *testing.F) {
	for _, it := range unusualItems() {
		line, err := FormatLine(it)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	for _, line := range refusedLines()[:40] {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		line, err := ParseManifestLine(text)
		if reasonOf(t, err) != "" {
			return
		}
		again := ForgottenLine(line.Hash)
		if !line.Forgotten {
			if again, err = FormatLine(line.Item); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(again, text) {
			t.Errorf("%q is written as %q", text, again)
		}
	})
}

func FuzzParseHead(f *testing.F) {
	b := basicLog(f)
	f.Add(b.head())
	f.Add(b.agreedHead())
	f.Fuzz(func(t *testing.T, text []byte) {
		h, agreed, err := ParseHead(text)
		if reasonOf(t, err) != "" {
			return
		}
		n, refused := parseNote(text)
		if refused != nil || agreed != (len(n.signatures) == 2) {
			t.Fatalf("%q is agreed: %t, %v", text, agreed, refused)
		}
		again := append(h.appendText(nil), '\n')
		for _, s := range n.signatures {
			again = appendSignatureLine(again, s.name, append(s.id[:], s.blob...))
		}
		if !bytes.Equal(again, text) {
			t.Errorf("%q is written as %q", text, again)
		}
	})
}

func FuzzParseProof(f *testing.F) {
	b := basicLog(f)
	f.Add(b.proof(1, 2).Bytes())
	f.Add(b.proof(2, 0).Bytes())
	f.Add((&Proof{}).Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParseProof(text)
		if reasonOf(t, err) != "" {
			return
		}
		if again := p.Bytes(); !bytes.Equal(again, text) {
			t.Errorf("%q is written as %q", text, again)
		}
		if _, err := p.Check("", ""); reasonOf(t, err) == "" {
			t.Errorf("%q proves something without any key", text)
		}
	})
}

func FuzzExport(f *testing.F) {
	f.Add(exported(f, basicLog(f).leaves))
	f.Add([]byte("entry 0 0\nentry 1 3\nabc"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var again bytes.Buffer
		index := int64(0)
		for leaf, err := range ReadExported(bytes.NewReader(text)) {
			if reasonOf(t, err) != "" {
				return
			}
			if err := AppendExported(&again, index, leaf); err != nil {
				t.Fatal(err)
			}
			index++
		}
		if !bytes.Equal(again.Bytes(), text) {
			t.Errorf("%q is written as %q", text, again.Bytes())
		}
	})
}
