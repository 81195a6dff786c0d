// Package byhand lets recordings expire at a built server and agent, and does with them what a client's administrator does:
// lists, fetches, exports, carries, imports and declines them. A BagIt program of others judges the bags. Its tests want Linux,
// the build tag peers, python3 and node.
package byhand
