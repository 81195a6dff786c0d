// Package evidence has the built programs write the evidence of nights to a folder and to an object store, and has sha256sum
// and the stand-alone verifier look at it, at a kit, and at what somebody has tampered with. How evidence is written is in
// agent/internal/evidence.
package evidence
