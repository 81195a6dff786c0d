// Package move gives the built agent a new place for the recordings that it has confirmed, whole and with gaps, and looks
// whether anything is pulled again that is there. Its tests want Linux, the build tag peers and node.
package move
