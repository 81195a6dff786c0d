/** Proofs of one recording: writing and checking them (proto/README.md 1.7). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MAX_ENTRY_BYTES, MAX_LINE_BYTES, Refusal, decimal, hash, refuse } from './forms.mjs';
import { namesItem, parseEntry } from './entry.mjs';
import { STATES, checkDeadline, checkNamed, checkSignatures, transition } from './fold.mjs';
import { HEAD, LEDGER, checkTrusted, manifestFile, readEntries } from './ledger.mjs';
import { parseLine, readLines } from './manifest.mjs';
import { parseHead, verifyHead } from './note.mjs';
import { ByteReader } from './reader.mjs';
import { HashList, auditPaths, leafHash, rootFromPath } from './tree.mjs';

const FIRST_LINE = 'wolkvox-backup proof v1';
const MAX_PATH_HASHES = 64;
const MAX_HEAD_BYTES = 65536;

/**
 * Writes the proof of a recording.
 * @param {import('./ledger.mjs').Checked} checked a valid ledger with an agreed head
 * @param {import('./ledger.mjs').Item} item the recording
 * @returns {Buffer} the proof
 */
export function writeProof(checked, item) {
  const size = checked.head.size;
  if (item.line.erased) refuse('FORGOTTEN', 'an erased line cannot be proved');
  const lines = new HashList();
  for (const { line } of readLines(join(checked.dir, manifestFile(item.manifest)))) lines.push(line.leafHash);
  const entries = [];
  for (const { index, leaf } of readEntries(join(checked.dir, LEDGER))) {
    if (index === size) break;
    const entry = parseEntry(leaf);
    if (belongs(entry, item.manifest, item.index)) entries.push({ index, leaf: Buffer.from(leaf), sealed: entry.kind === 'sealed' });
  }
  if (!entries.some(({ sealed }) => sealed)) {
    refuse('MANIFEST', `manifest ${item.manifest} was sealed after the agreed head of ${size} entries`);
  }
  const paths = auditPaths(checked.leaves, size, entries.map(({ index }) => index));
  const [linePath] = auditPaths(lines, lines.length, [item.index]);
  const head = readFileSync(join(checked.dir, HEAD));
  return Buffer.concat([
    Buffer.from(`${FIRST_LINE}\nline-index ${item.index}\nline `), item.bytes,
    Buffer.from(`\nline-path ${linePath.length}\n${hashLines(linePath)}entries ${entries.length}\n`),
    ...entries.flatMap(({ index, leaf }, i) => [
      Buffer.from(`entry ${index} ${leaf.length} ${paths[i].length}\n`), leaf, Buffer.from(hashLines(paths[i])),
    ]),
    Buffer.from(`head ${head.length}\n`), head,
  ]);
}

/**
 * Writes hashes one per line.
 * @param {Buffer[]} hashes the hashes
 * @returns {string} the lines
 */
function hashLines(hashes) {
  return hashes.map((bytes) => `${bytes.toString('hex')}\n`).join('');
}

/**
 * Tells whether an entry belongs in the proof of a recording.
 * @param {import('./entry.mjs').Entry} entry the entry
 * @param {number} manifest the recording's manifest
 * @param {number} index its index
 * @returns {boolean} whether it belongs
 */
function belongs(entry, manifest, index) {
  return ['genesis', 'rekeyed', 'assigned'].includes(entry.kind) || namesItem(entry, manifest, index);
}

/**
 * @typedef {object} Proof a proof as understood
 * @property {number} lineIndex the line's index in its manifest
 * @property {Buffer} lineBytes the line
 * @property {import('./manifest.mjs').Line} line the line as understood
 * @property {Buffer[]} linePath its audit path
 * @property {Array<{index: number, leaf: Buffer, path: Buffer[]}>} entries the entries
 * @property {import('./note.mjs').Head} head the head
 */

/**
 * Parses a proof.
 * @param {Buffer} bytes the proof
 * @returns {Proof} the proof; nothing is verified yet
 */
function parseProof(bytes) {
  const reader = ByteReader.over(bytes);
  if (reader.line(FIRST_LINE.length)?.toString('latin1') !== FIRST_LINE) refuse('TEXT', `the first line is not "${FIRST_LINE}"`);
  const [lineIndex] = numbers(reader, 'line-index', 1);
  const whole = reader.line('line '.length + MAX_LINE_BYTES);
  if (whole === null || whole.toString('latin1', 0, 5) !== 'line ') return refuse('TEXT', 'the line "line" is missing');
  const lineBytes = whole.subarray('line '.length);
  const line = parseLine(lineBytes);
  if (line.erased) refuse('FORGOTTEN', 'an erased line cannot be proved');
  const linePath = hashes(reader, numbers(reader, 'line-path', 1)[0]);
  const [count] = numbers(reader, 'entries', 1);
  const entries = [];
  for (let i = 0; i < count; i += 1) {
    const [index, size, pathLength] = numbers(reader, 'entry', 3);
    if (size > MAX_ENTRY_BYTES) refuse('LIMIT', `entry ${index}: ${size} bytes, above ${MAX_ENTRY_BYTES}`);
    const leaf = reader.take(size);
    entries.push({ index, leaf, path: hashes(reader, pathLength) });
  }
  const [headBytes] = numbers(reader, 'head', 1);
  if (headBytes > MAX_HEAD_BYTES) refuse('LIMIT', `a head of ${headBytes} bytes`);
  const head = parseHead(reader.take(headBytes));
  if (!reader.atEnd()) refuse('TEXT', 'bytes after the head');
  return { lineIndex, lineBytes, line, linePath, entries, head };
}

/**
 * Reads a line of a word and decimals.
 * @param {ByteReader} reader the proof
 * @param {string} word the word
 * @param {number} count how many decimals follow
 * @returns {number[]} the decimals
 */
function numbers(reader, word, count) {
  const [first, ...rest] = (reader.line(80) ?? refuse('TEXT', `the line "${word}" is missing`)).toString('latin1').split(' ');
  if (first !== word || rest.length !== count) refuse('TEXT', `the line "${word}" is missing`);
  return rest.map(decimal);
}

/**
 * Reads lines of one hash each.
 * @param {ByteReader} reader the proof
 * @param {number} count how many
 * @returns {Buffer[]} the hashes
 */
function hashes(reader, count) {
  if (count > MAX_PATH_HASHES) refuse('LIMIT', `an audit path of ${count} hashes`);
  return Array.from({ length: count }, () => {
    const line = reader.line(64) ?? refuse('TEXT', 'an audit path that is too short');
    return Buffer.from(hash(line.toString('latin1')), 'hex');
  });
}

/**
 * @typedef {object} Shown what a proof shows
 * @property {Proof} proof the proof
 * @property {number} manifest the manifest's number
 * @property {string} state the state that its entries add up to
 * @property {Array<{index: number, entry: import('./entry.mjs').Entry}>} entries its entries
 * @property {import('./note.mjs').Verifier} genesisKey the key that the genesis names
 * @property {import('./note.mjs').Verifier} agentKey the agent's key that cosigned the head
 */

/**
 * Checks a proof.
 * @param {Buffer} bytes the proof
 * @param {{serverFingerprint?: string, agentFingerprints?: string[]}} trusted the fingerprints that the client wrote down
 * @returns {Shown} what it shows
 */
export function checkProof(bytes, trusted) {
  const proof = parseProof(bytes);
  const fold = { origin: null, genesisKey: null, serverKey: null, agentKey: null, manifest: null };
  const entries = [];
  let before = -1;
  for (const item of proof.entries) {
    try {
      if (item.index <= before) refuse('TEXT', 'not after the entry before');
      before = item.index;
      const root = rootFromPath(leafHash(item.leaf), item.index, proof.head.size, item.path);
      if (root === null || !root.equals(proof.head.root)) refuse('PATH', 'its audit path does not lead to the root of the head');
      const entry = parseEntry(item.leaf);
      checkAndFold(fold, entry, item.index, proof.lineIndex);
      entries.push({ index: item.index, entry });
    } catch (error) {
      throw error instanceof Refusal ? new Refusal(error.reason, `entry ${item.index}: ${error.message}`) : error;
    }
  }
  if (fold.origin === null) refuse('GENESIS', 'no genesis');
  if (fold.manifest === null) refuse('MANIFEST', 'no sealed');
  checkLine(proof, fold.manifest);
  if (proof.head.origin !== fold.origin) refuse('ORIGIN', `the head is not one of ${fold.origin}`);
  verifyHead(proof.head, fold.serverKey, fold.agentKey);
  if (!proof.head.agreed) refuse('SIGNATURE', 'the head is not agreed');
  checkTrusted(fold.genesisKey, [fold.agentKey], trusted);
  return {
    proof,
    manifest: fold.manifest.number,
    state: STATES[fold.manifest.state],
    entries,
    genesisKey: fold.genesisKey,
    agentKey: fold.agentKey,
  };
}

/**
 * Checks that the line was sealed.
 * @param {Proof} proof the proof
 * @param {{root: string, items: number}} manifest the manifest
 */
function checkLine({ line, lineIndex, linePath }, manifest) {
  const root = rootFromPath(line.leafHash, lineIndex, manifest.items, linePath);
  if (root?.toString('hex') !== manifest.root) refuse('PATH', 'the audit path of the line does not lead to the root sealed');
}

/**
 * Checks one entry by the structural rules that hold for a part of a log, and folds it for one index.
 * @param {object} fold the state so far
 * @param {import('./entry.mjs').Entry} entry the entry
 * @param {number} position the entry's index in the log
 * @param {number} lineIndex the index to fold for
 */
function checkAndFold(fold, entry, position, lineIndex) {
  const { kind, values } = entry;
  fold.origin ??= entry.origin;
  if (entry.origin !== fold.origin) refuse('ORIGIN', `not the origin of the log, ${fold.origin}`);
  if ((kind === 'genesis') !== (position === 0) || (kind !== 'genesis' && fold.serverKey === null)) {
    refuse('GENESIS', 'genesis and only genesis is the first entry');
  }
  checkSignatures(entry, fold.serverKey, fold.agentKey);
  if (kind === 'genesis') {
    fold.genesisKey = values['server-key'];
    fold.serverKey = values['server-key'];
  } else if (kind === 'rekeyed') {
    fold.serverKey = values['new-key'];
  } else if (kind === 'assigned') {
    fold.agentKey = entry.request.agentKey;
  } else if (kind === 'sealed' && fold.manifest === null) {
    const { manifest: number, root, items, deadline } = values;
    fold.manifest = { number, root, items, deadline, open: true, state: 0 };
  } else if (fold.manifest !== null && kind !== 'sealed' && namesItem(entry, fold.manifest.number, lineIndex)) {
    foldOne(fold.manifest, entry);
  } else {
    refuse('TEXT', `${kind} does not belong in this proof`);
  }
}

/**
 * Checks and applies an entry that names the one recording.
 * @param {object} manifest its manifest and state
 * @param {import('./entry.mjs').Entry} entry the entry
 */
function foldOne(manifest, entry) {
  checkNamed(entry, manifest);
  checkDeadline(entry, manifest);
  manifest.state = transition(entry.kind, manifest.open)?.[manifest.state] ?? manifest.state;
  if (entry.kind === 'closed') manifest.open = false;
  if (entry.kind === 'extended') {
    manifest.open = true;
    manifest.deadline = entry.values.deadline;
  }
}
