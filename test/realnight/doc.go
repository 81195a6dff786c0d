// Package realnight has a server and an agent copy recordings that neither this module nor its tests made: speech in GSM
// from Debian, and what sox and lame make of it. What arrives is checked by programs that know nothing of this module:
// sha256sum compares the files, and the stand-alone verifier the ledger. It kills and disturbs nothing.
package realnight
