/**
 * Makes exported ledgers for the tests. It shares no code with the verifier: keys, notes, trees and
 * entries are written here once more, straight from proto/README.md.
 */
import { createHash, createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const ORIGIN = `wolkvox.com/backup/acme/main-office/${'0123456789abcdef'.repeat(2)}`;
export const TIME = '2025-03-01T02:03:04Z';
export const DEADLINE = '2025-04-01T00:00:00Z';

const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** SHA-256 of all parts together. */
export function sha256(...parts) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** The Merkle tree hash, in the recursive words of RFC 6962 §2.1. */
export function merkleRoot(leaves) {
  if (leaves.length === 0) return sha256('');
  if (leaves.length === 1) return sha256(Buffer.from([0]), leaves[0]);
  const k = splitAt(leaves.length);
  return sha256(Buffer.from([1]), merkleRoot(leaves.slice(0, k)), merkleRoot(leaves.slice(k)));
}

/** The audit path, in the recursive words of RFC 6962 §2.1.1. */
export function merklePath(index, leaves) {
  if (leaves.length <= 1) return [];
  const k = splitAt(leaves.length);
  if (index < k) return [...merklePath(index, leaves.slice(0, k)), merkleRoot(leaves.slice(k))];
  return [...merklePath(index - k, leaves.slice(k)), merkleRoot(leaves.slice(0, k))];
}

/** The greatest power of two below a count. */
function splitAt(count) {
  let k = 1;
  while (2 * k < count) k *= 2;
  return k;
}

/** A key pair with a name, made from a number. */
export class Key {
  constructor(name, seed) {
    const secret = sha256(`seed ${seed}`);
    this.name = name;
    this.privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, secret]), format: 'der', type: 'pkcs8' });
    this.publicKey = createPublicKey(this.privateKey).export({ format: 'der', type: 'spki' }).subarray(-32);
    const typed = Buffer.concat([Buffer.from([1]), this.publicKey]);
    this.verifier = `${name}+${this.id(1).toString('hex')}+${typed.toString('base64')}`;
    this.fingerprint = sha256(this.verifier).toString('hex');
  }

  id(type) {
    return sha256(`${this.name}\n`, Buffer.from([type]), this.publicKey).subarray(0, 4);
  }

  line(text) {
    const signature = sign(null, Buffer.from(text), this.privateKey);
    return `— ${this.name} ${Buffer.concat([this.id(1), signature]).toString('base64')}\n`;
  }

  cosignature(text, seconds = 1740000000) {
    const time = Buffer.alloc(8);
    time.writeBigUInt64BE(BigInt(seconds));
    const signature = sign(null, Buffer.from(`cosignature/v1\ntime ${seconds}\n${text}`), this.privateKey);
    return `— ${this.name} ${Buffer.concat([this.id(4), time, signature]).toString('base64')}\n`;
  }
}

/** A signed note. */
export function note(text, ...keys) {
  return Buffer.from(`${text}\n${keys.map((key) => key.line(text)).join('')}`);
}

/** One manifest line without LF. */
export function line(path, size = 100, more = {}) {
  const { digest = sha256(path).toString('hex'), kind = 'gsm', recorded = TIME, interaction = 'call-1', source = '-' } = more;
  return `${digest} ${size} ${kind} ${recorded} ${interaction} ${path} ${source}`;
}

/** A ledger that grows entry by entry. */
export class Ledger {
  constructor(origin = ORIGIN) {
    this.origin = origin;
    this.server = new Key(origin, 1);
    this.agent = new Key(`${origin}/agent/00112233aabbccdd`, 2);
    /** @type {Buffer[]} */
    this.leaves = [];
    /** @type {string[][]} */
    this.manifests = [];
    this.sealedRoots = [];
    this.numbers = new Map();
  }

  /** The text of an entry. */
  text(kind, values) {
    const all = { origin: this.origin, time: TIME, ...values };
    return `wolkvox-backup entry ${kind} v1\n${Object.entries(all).map(([key, value]) => `${key} ${value}\n`).join('')}`;
  }

  /** Adds any bytes as an entry. */
  add(leaf) {
    this.leaves.push(leaf);
    return this;
  }

  /** Adds an entry of the server. */
  serverEntry(kind, values) {
    return this.add(note(this.text(kind, values), this.server));
  }

  genesis(values = {}) {
    return this.serverEntry('genesis', { storage: 'rsync', 'window-days': 30, 'server-key': this.server.verifier, previous: '-', ...values });
  }

  assignedText(key = this.agent, origin = this.origin, signer = key) {
    const request = note(`wolkvox-backup request assign v1\norigin ${origin}\nagent-key ${key.verifier}\n`, signer);
    return `wolkvox-backup entry assigned v1\norigin ${this.origin}\ntime ${TIME}\nrequest\n${request}`;
  }

  assigned(key = this.agent) {
    this.agent = key;
    return this.add(note(this.assignedText(), this.server));
  }

  rekeyed(key) {
    const text = this.text('rekeyed', { 'old-key': this.server.verifier, 'new-key': key.verifier });
    this.add(note(text, this.server, key));
    this.server = key;
    return this;
  }

  sealed(lines, values = {}) {
    this.manifests.push(lines);
    const root = merkleRoot(lines.map((text) => Buffer.from(text))).toString('hex');
    this.sealedRoots.push(root);
    const bytes = lines.reduce((sum, text) => sum + Number(text.split(' ')[1]), 0);
    return this.serverEntry('sealed', {
      manifest: this.manifests.length, root, night: '2025-02-28', items: lines.length, bytes, interactions: '-',
      unrecorded: '-', deadline: DEADLINE, 'source-kept-until': '-', ...values,
    });
  }

  /** Adds an entry of the server that names a manifest. */
  about(kind, manifest, values) {
    return this.serverEntry(kind, { manifest, root: this.sealedRoots[manifest - 1] ?? '0'.repeat(64), ...values });
  }

  /** Adds a `closed` with counts [confirmed, expired, waived, released, withdrawn, forgotten]. */
  closed(manifest, counts) {
    const names = ['confirmed', 'expired', 'waived', 'released', 'withdrawn', 'forgotten'];
    return this.about('closed', manifest, Object.fromEntries(names.map((name, i) => [name, counts[i]])));
  }

  /** Adds a receipt; `over` replaces values. */
  receipt(kind, manifest, indexes, more, over = {}) {
    const last = this.numbers.get(this.agent.verifier) ?? { number: 0, previous: '-' };
    const text = this.text(kind, {
      manifest, root: this.sealedRoots[manifest - 1] ?? '0'.repeat(64), number: last.number + 1, previous: last.previous,
      indexes, ...more, ...over,
    });
    const leaf = note(text, this.agent);
    this.numbers.set(this.agent.verifier, { number: last.number + 1, previous: sha256(leaf).toString('hex') });
    return this.add(leaf);
  }

  delivered(manifest, indexes, over) {
    return this.receipt('delivered', manifest, indexes, { method: 'readback-sha256 uncached', brought: 'automatic' }, over);
  }

  lost(manifest, indexes) {
    return this.receipt('lost', manifest, indexes, { finding: 'missing' });
  }

  /** The text of a checkpoint over the first entries. */
  checkpoint(size = this.leaves.length) {
    return `${this.origin}\n${size}\n${merkleRoot(this.leaves.slice(0, size)).toString('base64')}\n`;
  }

  /** An agreed head. */
  agreedHead(size) {
    const text = this.checkpoint(size);
    return Buffer.from(`${text}\n${this.server.line(text)}${this.agent.cosignature(text)}`);
  }

  /** Writes the export. */
  write(dir, head = this.agreedHead()) {
    mkdirSync(join(dir, 'manifests'), { recursive: true });
    writeFileSync(join(dir, 'ledger.txt'), Buffer.concat(this.leaves.flatMap((leaf, i) => [Buffer.from(`entry ${i} ${leaf.length}\n`), leaf])));
    writeFileSync(join(dir, 'head.txt'), head);
    this.manifests.forEach((lines, i) => writeFileSync(join(dir, 'manifests', `${i + 1}.txt`), lines.map((text) => `${text}\n`).join('')));
    return dir;
  }
}

/** A valid ledger with every kind of entry, and the state of every item that follows from the text. */
export function everyKind() {
  const ledger = new Ledger();
  const lines = ['a', 'b', 'c/d', 'e', 'f', 'g', 'h', 'i%c3%b1'].map((name) => line(`2025/${name}.gsm`, 100, { source: `old/${name}` }));
  ledger.genesis({ previous: `${ORIGIN.slice(0, -1)}0 7 ${'ab'.repeat(32)}` });
  ledger.assigned();
  ledger.sealed(lines, { interactions: 12, unrecorded: 'missed:2,not-kept:1', 'source-kept-until': '2025-06-01T00:00:00Z' });
  ledger.sealed([]);
  ledger.delivered(1, '0-3');
  ledger.receipt('delivered', 1, '6', { method: 'provider-sha256-parts 8388608', brought: 'by-hand' });
  ledger.rekeyed(new Key(ORIGIN, 3));
  ledger.receipt('lost', 1, '1', { finding: 'altered' });
  ledger.receipt('waived', 1, '4', { reason: 'declined' });
  ledger.receipt('released', 1, '2', { reason: 'retention' });
  ledger.about('withdrawn', 1, { indexes: '5', reason: 'damaged', replacement: 3 });
  ledger.sealed([line('2025/f-again.gsm', 77, { interaction: '-', recorded: '-' })]);
  ledger.about('forgotten', 1, { indexes: '6' });
  ledger.closed(1, [2, 2, 1, 1, 1, 1]);
  ledger.about('extended', 1, { deadline: '2025-05-01T00:00:00Z', reason: 'outage' });
  ledger.assigned(new Key(`${ORIGIN}/agent/ffffffffffffffff`, 4));
  ledger.delivered(1, '1');
  ledger.receipt('erased', 1, '2,6', { outcome: 'no-consent' });
  ledger.about('withdrawn', 3, { indexes: '0', reason: 'error', replacement: '-' });
  ledger.closed(3, [9, 0, 0, 0, 1, 0]);
  ledger.serverEntry('retired', { reason: 'moved' });
  ledger.rekeyed(new Key(ORIGIN, 5));
  ledger.manifests[0][6] = `forgotten ${sha256(Buffer.from([0]), lines[6]).toString('hex')}`;
  const states = [
    ['confirmed', 'confirmed', 'released', 'confirmed', 'waived', 'withdrawn', 'forgotten', 'pending'], [], ['withdrawn'],
  ];
  return { ledger, states };
}

/** A short valid ledger: genesis, assigned, two items sealed. */
export function short() {
  return new Ledger().genesis().assigned().sealed([line('a'), line('b')]);
}
