// Package recovery takes state away from the built programs, or puts older state back, and looks whether both sides come
// together again by themselves. Its tests want Linux, the build tag peers and node.
package recovery
