// Package storage tests wolkvox Storage with both programs: nights that are copied on the server, what they put on the line,
// quotas, everything that goes wrong, and how clients get their recordings back. Its tests carry the build tag peers.
package storage
