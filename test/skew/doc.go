// Package skew lets the programs of this version and of the release before meet: each with the other's, and on the state
// that the other left. Its tests want Linux, the build tag peers, and the repository's history.
package skew
