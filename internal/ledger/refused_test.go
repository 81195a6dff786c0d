package ledger

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wolkvox/backup"
)

// refusedVector is a log whose last entry must be refused.
type refusedVector struct {
	name   string
	reason Reason
	leaves [][]byte
}

// traps collects vectors: entries that may not follow a log.
type traps struct {
	t       testing.TB
	vectors []refusedVector
}

// leaf adds the vector of an entry after the log.
func (v *traps) leaf(name string, reason Reason, b *builder, leaf []byte) {
	leaves := append(append([][]byte(nil), b.leaves...), leaf)
	v.vectors = append(v.vectors, refusedVector{name, reason, leaves})
}

// text adds the vector of an entry that is valid but for one replacement in its text, signed as its kind asks.
func (v *traps) text(name string, reason Reason, b *builder, leaf []byte, before, after string) {
	v.t.Helper()
	text := replaced(v.t, textOf(v.t, leaf), before, after)
	e, err := ParseEntry(leaf)
	if err != nil {
		v.t.Fatal(err)
	}
	v.leaf(name, reason, b, rawNote(text, b.keysOf(e.Body)...))
}

// bytes adds the vector of an entry that is valid but for one replacement anywhere in its bytes.
func (v *traps) bytes(name string, reason Reason, b *builder, leaf []byte, before, after string) {
	v.t.Helper()
	v.leaf(name, reason, b, []byte(replaced(v.t, string(leaf), before, after)))
}

func refusedVectors(t testing.TB) []refusedVector {
	v := &traps{t: t}
	v.textTraps(basicLog(t))
	v.valueTraps(basicLog(t))
	v.noteTraps(basicLog(t))
	v.keyTraps(basicLog(t))
	v.ruleTraps(basicLog(t))
	return v.vectors
}

// textTraps are about lines, keys and their order.
func (v *traps) textTraps(b *builder) {
	leaves := b.oneOfEach()
	closed, delivered, sealed := leaves[KindClosed], leaves[KindDelivered], leaves[KindSealed]
	first := "wolkvox-backup entry closed v1\n"
	v.text("text-crlf-line", ReasonText, b, closed, "v1\n", "v1\r\n")
	v.leaf("text-crlf-all", ReasonText, b, []byte(strings.ReplaceAll(string(closed), "\n", "\r\n")))
	v.text("text-bom", ReasonText, b, closed, first, "\ufeff"+first)
	v.text("text-leading-empty-line", ReasonText, b, closed, first, "\n"+first)
	v.text("text-leading-space", ReasonText, b, closed, first, " "+first)
	v.text("text-first-line-trailing-space", ReasonText, b, closed, "v1\n", "v1 \n")
	v.text("text-first-line-two-spaces", ReasonText, b, closed, "entry closed", "entry  closed")
	v.text("text-first-line-tab", ReasonText, b, closed, "entry closed", "entry\tclosed")
	v.text("text-first-line-upper-case", ReasonText, b, closed, "entry closed", "entry Closed")
	v.text("text-first-line-other-program", ReasonText, b, closed, "wolkvox-backup entry", "wolkvox-backups entry")
	v.text("text-version-zero", ReasonText, b, closed, " v1\n", " v0\n")
	v.text("text-version-leading-zero", ReasonText, b, closed, " v1\n", " v01\n")
	v.text("text-version-missing", ReasonText, b, closed, " v1\n", "\n")
	v.text("text-version-capital", ReasonText, b, closed, " v1\n", " V1\n")
	v.text("text-key-order", ReasonText, b, closed, "waived 0\nreleased 0\n", "released 0\nwaived 0\n")
	v.text("text-key-missing", ReasonText, b, closed, "waived 0\n", "")
	v.text("text-key-twice", ReasonText, b, closed, "waived 0\n", "waived 0\nwaived 0\n")
	v.text("text-key-unknown", ReasonText, b, closed, "waived 0\n", "waived 0\nmissing 0\n")
	v.text("text-key-pending", ReasonText, b, closed, "confirmed 4\n", "pending 0\nconfirmed 4\n")
	v.text("text-key-upper-case", ReasonText, b, closed, "waived 0\n", "Waived 0\n")
	v.text("text-key-of-other-kind", ReasonText, b, closed, "forgotten 0\n", "forgotten 0\nreason outage\n")
	v.text("text-key-without-value", ReasonText, b, closed, "waived 0\n", "waived\n")
	v.text("text-key-empty-value", ReasonText, b, closed, "waived 0\n", "waived \n")
	v.text("text-value-two-spaces", ReasonText, b, closed, "waived 0\n", "waived  0\n")
	v.text("text-value-trailing-space", ReasonText, b, closed, "waived 0\n", "waived 0 \n")
	v.text("text-value-tab", ReasonText, b, closed, "waived 0\n", "waived\t0\n")
	v.text("text-value-no-break-space", ReasonText, b, closed, "waived 0\n", "waived\u00a00\n")
	v.text("text-line-empty-inside", ReasonText, b, closed, "waived 0\n", "waived 0\n\n")
	v.text("text-line-empty-at-end", ReasonText, b, closed, "forgotten 0\n", "forgotten 0\n\n")
	v.text("text-control-character", ReasonText, b, closed, "waived 0\n", "waived 0\x00\n")
	v.text("text-delete-character", ReasonText, b, closed, "waived 0\n", "waived 0\x7f\n")
	v.text("text-vertical-tab", ReasonText, b, closed, "waived 0\n", "waived 0\v\n")
	v.text("text-invalid-utf8", ReasonText, b, closed, "waived 0\n", "waived 0\xff\n")
	v.text("text-overlong-utf8", ReasonText, b, closed, "waived 0\n", "waived \xc0\xb0\n")
	v.text("text-full-width-digit", ReasonText, b, closed, "waived 0\n", "waived \uff10\n")
	v.text("text-arabic-digit", ReasonText, b, closed, "waived 0\n", "waived \u0660\n")
	v.text("text-origin-missing", ReasonText, b, closed, "origin "+string(testOrigin)+"\n", "")
	v.text("text-time-before-origin", ReasonText, b, delivered, fmt.Sprintf("origin %s\ntime %s\n", testOrigin, b.now.Format(timeLayout)),
		fmt.Sprintf("time %s\norigin %s\n", b.now.Format(timeLayout), testOrigin))
	v.text("text-sealed-key-missing", ReasonText, b, sealed, "unrecorded abandoned:12,not-answered:3\n", "")
	v.text("version-kind-unknown", ReasonVersion, b, closed, "entry closed v1", "entry paused v1")
	v.text("version-two", ReasonVersion, b, closed, "entry closed v1", "entry closed v2")
	v.text("version-great", ReasonVersion, b, closed, "entry closed v1", "entry closed v9007199254740991")
	v.text("version-too-great", ReasonText, b, closed, "entry closed v1", "entry closed v9007199254740992")
	v.text("version-request-is-no-entry", ReasonVersion, b, closed, "entry closed v1", "entry assign v1")
	v.leaf("version-nothing-else", ReasonVersion, b, rawNote("wolkvox-backup entry paused v1\n", b.server))
	v.leaf("version-other-lines", ReasonVersion, b, rawNote("wolkvox-backup entry closed v2\n\nanything  at all\n", b.server))
	v.text("version-with-bad-utf8", ReasonText, b, closed, "entry closed v1\n", "entry paused v1\n\xff\n")
}

// valueTraps are about the values' own forms.
func (v *traps) valueTraps(b *builder) {
	leaves := b.oneOfEach()
	closed, delivered, sealed := leaves[KindClosed], leaves[KindDelivered], leaves[KindSealed]
	decimals := map[string]string{"leading-zero": "06", "plus": "+6", "minus": "-6", "fraction": "6.0", "exponent": "6e0",
		"hexadecimal": "0x6", "separator": "1_0", "too-great": "9007199254740992", "enormous": "18446744073709551622",
		"two-zeros": "00", "minus-zero": "-0", "dash": "-"}
	for name, value := range decimals {
		v.text("text-decimal-"+name, ReasonText, b, closed, "expired 6\n", "expired "+value+"\n")
	}
	v.text("text-manifest-zero", ReasonText, b, closed, "manifest 1\n", "manifest 0\n")
	v.text("text-number-zero", ReasonText, b, delivered, "number 2\n", "number 0\n")
	rootHex := hexHash(b.root(1))
	hashes := map[string]string{"upper-case": strings.ToUpper(rootHex), "short": rootHex[:63], "long": rootHex + "0",
		"other-letter": "g" + rootHex[1:], "base64": base64.StdEncoding.EncodeToString([]byte(rootHex)[:32]), "dash": "-"}
	for name, value := range hashes {
		v.text("text-hash-"+name, ReasonText, b, closed, "root "+rootHex+"\n", "root "+value+"\n")
	}
	now := b.now.Format(timeLayout)
	times := map[string]string{"fraction": "2026-03-01T02:00:00.5Z", "zero-fraction": "2026-03-01T02:00:00.0Z", "offset": "2026-03-01T02:00:00+00:00",
		"lower-case": "2026-03-01t02:00:00z", "space": "2026-03-01 02:00:00Z", "no-zone": "2026-03-01T02:00:00", "leap-second": "2016-12-31T23:59:60Z",
		"hour-24": "2026-03-01T24:00:00Z", "day-29": "2026-02-29T00:00:00Z", "day-zero": "2026-03-00T00:00:00Z", "month-13": "2026-13-01T00:00:00Z",
		"month-zero": "2026-00-01T00:00:00Z", "year-1969": "1969-12-31T23:59:59Z", "year-10000": "10000-01-01T00:00:00Z", "minute-60": "2026-03-01T02:60:00Z",
		"short-hour": "2026-03-01T2:00:00Z", "basic": "20260301T020000Z", "dash": "-"}
	for name, value := range times {
		v.text("text-time-"+name, ReasonText, b, closed, "time "+now+"\n", "time "+value+"\n")
	}
	night := "night " + backup.DateOf(b.now).String() + "\n"
	for name, value := range map[string]string{"day-29": "2026-02-29", "short": "2026-3-1", "year-1969": "1969-12-31", "time": now, "dash": "-", "year-10000": "10000-01-01"} {
		v.text("text-date-"+name, ReasonText, b, sealed, night, "night "+value+"\n")
	}
	indexes := map[string]string{"not-coalesced": "4-5,6-9", "adjacent-single": "4,5", "unsorted": "7-9,4-5", "overlap": "4-7,7-9", "reverse": "5-4", "single-as-range": "4-4",
		"twice": "4,4", "space": "4-5, 7-9", "trailing-comma": "4-5,", "leading-comma": ",4-5", "double-comma": "4-5,,7-9", "open": "4-", "open-start": "-5",
		"leading-zero": "04-5", "dash": "-", "three": "4-5-6", "full-stop": "4..5", "too-great-decimal": "9007199254740992"}
	for name, value := range indexes {
		v.text("text-indexes-"+name, ReasonText, b, delivered, "indexes 4-5,7-9\n", "indexes "+value+"\n")
	}
	origins := map[string]string{"upper-case": "wolkvox.com/backup/Acme-1/nas/", "no-prefix": "wolkvox.org/backup/acme-1/nas/", "empty-label": "wolkvox.com/backup//nas/",
		"double-hyphen": "wolkvox.com/backup/acme--1/nas/", "leading-hyphen": "wolkvox.com/backup/-acme/nas/", "trailing-hyphen": "wolkvox.com/backup/acme-/nas/",
		"underscore": "wolkvox.com/backup/acme_1/nas/", "long-label": "wolkvox.com/backup/" + strings.Repeat("a", 41) + "/nas/", "fourth-part": "wolkvox.com/backup/acme-1/nas/x/"}
	for name, value := range origins {
		v.text("text-origin-"+name, ReasonText, b, closed, "origin "+string(testOrigin), "origin "+value+testOrigin.LogID())
	}
	v.text("text-origin-log-id-upper-case", ReasonText, b, closed, "aabbccddeeff", "AABBCCDDEEFF")
	v.text("text-origin-log-id-short", ReasonText, b, closed, "aabbccddeeff", "aabbccddeef")
	v.codeTraps(b, leaves)
	v.sealedTraps(b, sealed)
}

// codeTraps are values that are not in their lists.
func (v *traps) codeTraps(b *builder, leaves map[Kind][]byte) {
	for i, c := range []struct {
		kind          Kind
		before, after string
	}{
		{KindDelivered, "method provider-sha256-parts 8388608", "method provider-sha256-parts 0"},
		{KindDelivered, "method provider-sha256-parts 8388608", "method provider-sha256-parts 08388608"},
		{KindDelivered, "method provider-sha256-parts 8388608", "method provider-sha256-parts"},
		{KindDelivered, "method provider-sha256-parts 8388608", "method readback-sha256"},
		{KindDelivered, "method provider-sha256-parts 8388608", "method readback-sha256  cached"},
		{KindDelivered, "method provider-sha256-parts 8388608", "method crc32c"},
		{KindDelivered, "method provider-sha256-parts 8388608", "method provider-sha256 8388608"},
		{KindDelivered, "brought by-hand", "brought by hand"},
		{KindDelivered, "brought by-hand", "brought -"},
		{KindLost, "finding missing", "finding damaged"},
		{KindWaived, "reason declined", "reason Declined"},
		{KindReleased, "reason retention", "reason deleted"},
		{KindErased, "outcome absent", "outcome missing"},
		{KindExtended, "reason outage", "reason strike"},
		{KindWithdrawn, "reason changed", "reason altered"},
		{KindWithdrawn, "replacement 3", "replacement 0"},
		{KindWithdrawn, "replacement 3", "replacement 03"},
		{KindRetired, "reason moved", "reason -"},
	} {
		v.text(fmt.Sprintf("text-code-%02d-%s", i, c.kind), ReasonText, b, leaves[c.kind], c.before, c.after)
	}
}

func (v *traps) sealedTraps(b *builder, sealed []byte) {
	unrecorded := map[string]string{"descending": "not-answered:3,abandoned:12", "twice": "abandoned:1,abandoned:2", "zero": "abandoned:0", "no-count": "abandoned",
		"sum-above-interactions": "abandoned:38,not-answered:3", "empty": "", "space": "abandoned:12, not-answered:3", "leading-zero": "abandoned:012",
		"code-digit-first": "1abandoned:12", "code-upper-case": "Abandoned:12", "code-long": strings.Repeat("a", 33) + ":12", "code-double-hyphen": "a--b:12",
		"trailing-comma": "abandoned:12,", "overflow": strings.Repeat("a:9007199254740991,", 3) + "b:1"}
	for name, value := range unrecorded {
		v.text("text-unrecorded-"+name, ReasonText, b, sealed, "unrecorded abandoned:12,not-answered:3\n", "unrecorded "+value+"\n")
	}
	v.text("text-unrecorded-without-interactions", ReasonText, b, sealed, "interactions 40\n", "interactions -\n")
	v.text("text-deadline-dash", ReasonText, b, sealed, "deadline "+b.sealed().Deadline.Format(timeLayout), "deadline -")
	v.text("text-sealed-empty-with-bytes", ReasonText, b, b.leaf(b.sealed()), "bytes 0\n", "bytes 1\n")
	v.text("text-sealed-empty-with-root", ReasonText, b, b.leaf(b.sealed()), "root "+hexHash(EmptyRoot()), "root "+hexHash(b.root(1)))
	v.text("limit-items", ReasonLimit, b, sealed, "items 2\n", "items 4000001\n")
	delivered := b.oneOfEach()[KindDelivered]
	v.text("limit-index", ReasonLimit, b, delivered, "indexes 4-5,7-9\n", "indexes 4-5,4000000\n")
	var many []Range
	for i := range int64(MaxRanges + 1) {
		many = append(many, Range{2 * i, 2 * i})
	}
	v.text("limit-ranges", ReasonLimit, b, delivered, "indexes 4-5,7-9\n", "indexes "+NewSet(many...).String()+"\n")
	v.text("text-before-inner-limit", ReasonText, b, delivered, "indexes 4-5,7-9\n", "indexes 4-5,4000000,\n")
	v.leaf("limit-entry-bytes", ReasonLimit, b, rawNote("wolkvox-backup entry closed v1\n"+strings.Repeat("a", MaxEntryBytes), b.server))
	longest := "wolkvox-backup entry paused v1\n"
	longest += strings.Repeat("a", MaxEntryBytes-len(rawNote(longest+"\n", b.server))) + "\n"
	v.leaf("version-greatest-entry", ReasonVersion, b, rawNote(longest, b.server))
	v.leaf("limit-entry-bytes-by-one", ReasonLimit, b, rawNote("wolkvox-backup entry paused v1\na"+longest[len("wolkvox-backup entry paused v1\n"):], b.server))
}

// noteTraps are about the signed note around the text.
func (v *traps) noteTraps(b *builder) {
	closed := b.oneOfEach()[KindClosed]
	text := textOf(v.t, closed)
	line := string(closed[len(text)+1:])
	encoded := strings.TrimSuffix(line[strings.LastIndex(line, " ")+1:], "\n")
	v.leaf("text-no-final-lf", ReasonText, b, closed[:len(closed)-1])
	v.leaf("text-trailing-lf", ReasonText, b, append(append([]byte(nil), closed...), '\n'))
	v.leaf("text-trailing-bytes", ReasonText, b, append(append([]byte(nil), closed...), "more\n"...))
	v.leaf("text-empty", ReasonText, b, nil)
	v.leaf("text-no-signature", ReasonText, b, []byte(text))
	v.leaf("text-no-signature-line", ReasonText, b, []byte(text+"\n"))
	v.leaf("text-no-empty-line", ReasonText, b, []byte(text+line))
	v.leaf("text-two-empty-lines-before-signatures", ReasonText, b, []byte(text+"\n\n"+line))
	v.leaf("text-empty-line-between-signatures", ReasonText, b, []byte(text+"\n"+line+"\n"+line))
	for name, dash := range map[string]string{"hyphen": "-", "en-dash": "–", "horizontal-bar": "―", "two-hyphens": "--", "none": ""} {
		v.bytes("text-signature-"+name, ReasonText, b, closed, "— ", dash+" ")
	}
	v.bytes("text-signature-no-space", ReasonText, b, closed, "— ", "—")
	v.bytes("text-signature-two-spaces", ReasonText, b, closed, "— ", "—  ")
	v.bytes("text-signature-no-break-space", ReasonText, b, closed, "— ", "—\u00a0")
	v.bytes("text-signature-two-spaces-before-base64", ReasonText, b, closed, " "+encoded, "  "+encoded)
	v.bytes("text-signature-trailing-space", ReasonText, b, closed, encoded+"\n", encoded+" \n")
	v.bytes("text-signature-name-missing", ReasonText, b, closed, "— "+string(testOrigin)+" ", "— ")
	v.bytes("text-signature-name-with-plus", ReasonText, b, closed, "— "+string(testOrigin), "— +"+string(testOrigin))
	v.bytes("text-signature-name-not-ascii", ReasonText, b, closed, "— "+string(testOrigin), "— é"+string(testOrigin))
	v.bytes("text-base64-unpadded", ReasonText, b, closed, encoded, strings.TrimRight(encoded, "="))
	v.bytes("text-base64-padded-more", ReasonText, b, closed, encoded, encoded+"=")
	v.bytes("text-base64-url-alphabet", ReasonText, b, closed, encoded, "_-"+encoded[2:])
	v.bytes("text-base64-four-bytes", ReasonText, b, closed, encoded, base64.StdEncoding.EncodeToString([]byte{1, 2, 3, 4}))
	last := strings.IndexByte(encoded, '=') - 1
	alphabet := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	unused := alphabet[strings.IndexByte(alphabet, encoded[last])+1]
	v.bytes("text-base64-unused-bits", ReasonText, b, closed, encoded, encoded[:last]+string(unused)+encoded[last+1:])
	v.leaf("signature-doubled", ReasonSignature, b, []byte(text+"\n"+line+line))
	stranger := testKey(v.t, "example.com/witness", "stranger")
	v.leaf("signature-unknown-added", ReasonSignature, b, rawNote(text, b.server, stranger))
	v.leaf("key-unknown-first", ReasonKey, b, rawNote(text, stranger, b.server))
	v.leaf("signature-agents-added", ReasonSignature, b, rawNote(text, b.server, b.agent))
	v.leaf("signature-other-text", ReasonSignature, b, []byte(text+"\n"+string(rawNote("other\n", b.server)[len("other\n\n"):])))
	raw, _ := base64.StdEncoding.DecodeString(encoded)
	v.bytes("signature-short", ReasonSignature, b, closed, encoded, base64.StdEncoding.EncodeToString(raw[:67]))
	v.bytes("signature-long", ReasonSignature, b, closed, encoded, base64.StdEncoding.EncodeToString(append(raw[:68:68], 0)))
	v.leaf("signature-of-note-with-empty-line", ReasonSignature, b, []byte(text+"\n"+string(rawNote(text+"\n", b.server)[len(text)+2:])))
	v.leaf("signature-malleable", ReasonSignature, b, []byte(text+"\n"+malleated(line)))
}

// malleated adds the group's order to S of an Ed25519 signature: RFC 8032 §5.1.7 asks to refuse that.
func malleated(line string) string {
	at := strings.LastIndex(line, " ") + 1
	blob, _ := base64.StdEncoding.DecodeString(strings.TrimSuffix(line[at:], "\n"))
	order := [32]byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 31: 0x10}
	carry := 0
	for i, o := range order {
		sum := int(blob[36+i]) + int(o) + carry
		blob[36+i], carry = byte(sum), sum>>8
	}
	return line[:at] + base64.StdEncoding.EncodeToString(blob) + "\n"
}

// ruleTraps are valid texts that the log so far does not allow.
func (v *traps) ruleTraps(b *builder) {
	leaves := b.oneOfEach()
	other := Origin(strings.Replace(string(testOrigin), "nas", "nas-2", 1))
	v.leaf("origin-other-destination", ReasonOrigin, b, rawNote(strings.Replace(textOf(v.t, leaves[KindClosed]), string(testOrigin), string(other), 1), b.server))
	v.leaf("origin-second-genesis-of-other-log", ReasonOrigin, b, newBuilder(v.t, other).leaves[0])
	v.leaf("genesis-second", ReasonGenesis, b, b.leaves[0])
	v.leaf("genesis-missing", ReasonGenesis, emptyBuilder(v.t, testOrigin), b.leaves[1])
	v.leaf("manifest-sealed-gap", ReasonManifest, b, b.leaf(func() Sealed { s := b.sealed(); s.Manifest = 4; return s }()))
	v.leaf("manifest-sealed-twice", ReasonManifest, b, b.leaf(func() Sealed { s := b.sealed(); s.Manifest = 2; return s }()))
	for kind, leaf := range leaves {
		if e, err := ParseEntry(leaf); err != nil {
			v.t.Fatal(err)
		} else if n, _, ok := ManifestOf(e.Body); !ok || kind == KindSealed {
			continue
		} else {
			manifest, root := fmt.Sprintf("manifest %d\n", n), "root "+hexHash(b.root(n))+"\n"
			v.text("manifest-unknown-"+kind.String(), ReasonManifest, b, leaf, manifest, "manifest 3\n")
			v.text("root-other-"+kind.String(), ReasonRoot, b, leaf, root, "root "+hexHash(b.root(3-n))+"\n")
			if set, ok := IndexesOf(e.Body); ok && kind != KindWithdrawn {
				v.text("index-beyond-"+kind.String(), ReasonIndex, b, leaf, "indexes "+set.String()+"\n", "indexes 0,10\n")
			}
		}
	}
	v.leaf("index-beyond-withdrawn", ReasonIndex, b, b.leaf(Withdrawn{2, b.root(2), NewSet(Range{2, 3}), WithdrawnLost, 0}))
	delivered := leaves[KindDelivered]
	chain := "previous " + hexHash(b.fold.Chains[b.agent.Verifier()].Last) + "\n"
	v.text("chain-gap", ReasonChain, b, delivered, "number 2\n", "number 3\n")
	v.leaf("chain-same-again", ReasonChain, b, b.leaves[len(b.leaves)-1])
	v.leaf("chain-number-one-again", ReasonChain, b, rawNote(replaced(v.t, replaced(v.t, textOf(v.t, delivered), "number 2\n", "number 1\n"), chain, "previous -\n"), b.agent))
	v.text("chain-other-previous", ReasonChain, b, delivered, chain, "previous "+hexHash(b.root(1))+"\n")
	v.text("text-previous-dash", ReasonText, b, delivered, chain, "previous -\n")
	v.text("text-previous-of-number-one", ReasonText, b, delivered, "number 2\n", "number 1\n")
	v.leaf("deadline-same", ReasonDeadline, b, b.leaf(Extended{1, b.root(1), b.fold.Manifests[0].Deadline, ExtendedCourtesy}))
	v.leaf("deadline-earlier", ReasonDeadline, b, b.leaf(Extended{1, b.root(1), b.fold.Manifests[0].Deadline.Add(-time.Second), ExtendedOutage}))
	v.leaf("replacement-not-next", ReasonReplacement, b, b.leaf(Withdrawn{1, b.root(1), NewSet(Range{4, 4}), WithdrawnName, 4}))
	v.leaf("replacement-already-sealed", ReasonReplacement, b, b.leaf(Withdrawn{1, b.root(1), NewSet(Range{4, 4}), WithdrawnError, 2}))
	v.afterOthers(leaves)
}

// afterOthers are refused because of the entry before them.
func (v *traps) afterOthers(leaves map[Kind][]byte) {
	b := basicLog(v.t)
	b.addLeaf(leaves[KindWithdrawn])
	v.leaf("replacement-closed-follows", ReasonReplacement, b, leaves[KindClosed])
	v.leaf("replacement-rekeyed-follows", ReasonReplacement, b, leaves[KindRekeyed])
	v.leaf("replacement-other-sealed-follows", ReasonReplacement, b, b.leaf(func() Sealed { s := b.sealed(); s.Manifest = 4; return s }()))
	b = basicLog(v.t)
	b.addLeaf(leaves[KindRetired])
	for _, kind := range []Kind{KindSealed, KindDelivered, KindAssigned, KindRetired, KindClosed} {
		v.leaf("retired-then-"+kind.String(), ReasonRetired, b, leaves[kind])
	}
	b.addLeaf(leaves[KindRekeyed])
	v.leaf("retired-rekeyed-then-closed", ReasonRetired, b, leaves[KindClosed])
	b = basicLog(v.t)
	b.add(Extended{1, b.root(1), b.fold.Manifests[0].Deadline.AddDate(0, 0, 5), ExtendedOutage})
	v.leaf("deadline-not-later-than-extended", ReasonDeadline, b, leaves[KindExtended])
	b = newBuilder(v.t, testOrigin)
	v.leaf("text-sealed-overlong-continuation", ReasonText, b, append(b.leaf(b.sealed()), b.leaf(b.sealed())...))
}
