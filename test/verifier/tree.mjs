/** Merkle trees of RFC 6962 §2.1 (proto/README.md part 2). Hashes are Buffers of 32 bytes. */
import { hash as digest } from 'node:crypto';

const HASH_BYTES = 32;
const LEAF = Buffer.from([0]);

/**
 * Computes SHA-256.
 * @param {Buffer} bytes the input
 * @returns {Buffer} 32 bytes
 */
export function sha256(bytes) {
  return digest('sha256', bytes, 'buffer');
}

/**
 * Hashes a leaf.
 * @param {Buffer} leaf the leaf's bytes
 * @returns {Buffer} its hash
 */
export function leafHash(leaf) {
  return sha256(Buffer.concat([LEAF, leaf]));
}

/**
 * Hashes an inner node.
 * @param {Buffer} left the left child's hash
 * @param {Buffer} right the right child's hash
 * @returns {Buffer} its hash
 */
export function nodeHash(left, right) {
  const bytes = Buffer.allocUnsafe(1 + 2 * HASH_BYTES);
  bytes[0] = 1;
  left.copy(bytes, 1);
  right.copy(bytes, 1 + HASH_BYTES);
  return sha256(bytes);
}

/** A growing tree of which only the right edge is kept. */
export class Tree {
  /** Makes the empty tree. */
  constructor() {
    this.size = 0;
    /** @type {Array<{size: number, hash: Buffer}>} the complete subtrees, greatest first */
    this.edge = [];
  }

  /**
   * Adds a leaf.
   * @param {Buffer} hash the leaf's hash
   */
  append(hash) {
    this.size += 1;
    let node = { size: 1, hash };
    while (this.edge.length > 0 && this.edge.at(-1).size === node.size) {
      node = { size: 2 * node.size, hash: nodeHash(this.edge.pop().hash, node.hash) };
    }
    this.edge.push(node);
  }

  /**
   * Computes the root hash.
   * @returns {Buffer} the root of the leaves so far
   */
  root() {
    if (this.size === 0) return sha256(Buffer.alloc(0));
    return this.edge.map((node) => node.hash).reduceRight((right, left) => nodeHash(left, right));
  }
}

/** A list of hashes in one block of memory. */
export class HashList {
  /** Makes an empty list. */
  constructor() {
    this.length = 0;
    this.bytes = Buffer.alloc(64 * HASH_BYTES);
  }

  /**
   * Adds a hash.
   * @param {Buffer} hash the hash
   */
  push(hash) {
    const at = this.length * HASH_BYTES;
    if (at === this.bytes.length) this.bytes = Buffer.concat([this.bytes, Buffer.alloc(this.bytes.length)]);
    hash.copy(this.bytes, at);
    this.length += 1;
  }

  /**
   * Returns one hash.
   * @param {number} index its position
   * @returns {Buffer} a view of the hash
   */
  at(index) {
    return this.bytes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
  }
}

/**
 * Computes audit paths (RFC 6962 §2.1.1).
 * @param {HashList} leaves the leaves' hashes
 * @param {number} size how many of the leaves the tree has
 * @param {number[]} indexes the leaves whose paths are wanted
 * @returns {Buffer[][]} one path per index, from the leaf up
 */
export function auditPaths(leaves, size, indexes) {
  const paths = indexes.map(() => []);
  const places = [...indexes];
  let level = leaves;
  for (let count = size; count > 1; count = Math.ceil(count / 2)) {
    places.forEach((place, i) => {
      const sibling = place % 2 === 0 ? place + 1 : place - 1;
      if (sibling < count) paths[i].push(Buffer.from(level.at(sibling)));
      places[i] = Math.floor(place / 2);
    });
    const above = new HashList();
    for (let left = 0; left < count; left += 2) {
      above.push(left + 1 < count ? nodeHash(level.at(left), level.at(left + 1)) : level.at(left));
    }
    level = above;
  }
  return paths;
}

/**
 * Computes the root that an audit path leads to.
 * @param {Buffer} hash the leaf's hash
 * @param {number} index the leaf's position
 * @param {number} size the number of leaves in the tree
 * @param {Buffer[]} path the audit path
 * @returns {Buffer | null} the root, or null where the path has another length than this leaf's
 */
export function rootFromPath(hash, index, size, path) {
  if (index >= size) return null;
  let node = hash;
  let used = 0;
  let place = index;
  for (let count = size; count > 1; count = Math.ceil(count / 2)) {
    const hasSibling = place % 2 === 1 || place + 1 < count;
    if (hasSibling) {
      if (used === path.length) return null;
      node = place % 2 === 1 ? nodeHash(path[used], node) : nodeHash(node, path[used]);
      used += 1;
    }
    place = Math.floor(place / 2);
  }
  return used === path.length ? node : null;
}
