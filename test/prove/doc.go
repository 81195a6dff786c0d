// Package prove has both programs prove recordings of a real night, and the stand-alone verifier judge the proofs. It is
// built with the tag peers.
package prove
