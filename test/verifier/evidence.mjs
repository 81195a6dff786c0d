/** Reading and checking an evidence folder, or a month of one (proto/README.md 1.8). */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseEntry } from './entry.mjs';
import { origin, refuse } from './forms.mjs';
import { Fold, STATES } from './fold.mjs';
import { checkTrusted, guard, readEntries, unvouchedAgentKeys } from './ledger.mjs';
import { checkManifest, readLines } from './manifest.mjs';
import { parseHead, verifyHead } from './note.mjs';
import { RepeatFinder, decodePath, foldPath } from './path.mjs';
import { humanLedger, summarise } from './report.mjs';
import { checkSums } from './sums.mjs';
import { HashList, Tree, leafHash } from './tree.mjs';

const KIT = 'kit.txt';
const NUMBERED = /^([0-9]{10,15})\.txt$/;
const MAX_PIECE_BYTES = 1 << 20;
const [PENDING, CONFIRMED] = [STATES.indexOf('pending'), STATES.indexOf('confirmed')];

/**
 * @typedef {object} Sums the SHA256SUMS of a night at one head
 * @property {string} night the night
 * @property {number} size the size of the head
 * @property {Array<{number: number, items: number, states: Uint8Array}>} manifests the night's manifests at that head
 * @property {number} [recordings] how many recordings it lists
 */

/**
 * @typedef {import('./ledger.mjs').Checked & {kit: object | null, sums: Sums[], unfinished: number}} CheckedEvidence
 *   an evidence folder that was checked
 */

/**
 * Checks an evidence folder: every entry, every head, every manifest and every SHA256SUMS.
 * @param {string} dir the folder
 * @param {{serverFingerprint?: string, agentFingerprints?: string[]}} trusted the fingerprints that the client wrote down
 * @returns {CheckedEvidence} what was found
 */
export function checkEvidence(dir, trusted) {
  const checked = {
    dir, problems: [], fold: new Fold(), leaves: new HashList(), head: null, agentKeys: [], agreed: false, kit: null, sums: [], unfinished: 0,
  };
  if (existsSync(join(dir, KIT))) guard(checked, KIT, () => { checked.kit = parseKit(readFileSync(join(dir, KIT))); });
  const heads = readHeads(checked);
  const wanted = findSums(checked, heads);
  const atHead = foldPieces(checked, heads, wanted);
  checked.agentKeys = unvouchedAgentKeys(checked, atHead);
  guard(checked, 'ledger', () => checkTrusted(checked.fold.genesisKey, checked.agentKeys, trusted));
  if (checked.kit !== null && atHead !== null) guard(checked, KIT, () => checkKit(checked, atHead));
  checkManifests(checked, atHead?.manifests ?? 0);
  for (const sums of checked.sums) {
    guard(checked, sumsFolder(sums), () => {
      sums.recordings = checkSums(join(dir, sumsFolder(sums)), expectedLines(checked, sums), ownFile(checked), readPiece);
    });
  }
  return checked;
}

/**
 * Parses what says that the folder is a kit: evidence of one month.
 * @param {Buffer} bytes the kit.txt
 * @returns {{origin: string, month: string, server: string, agent: string}} what it says
 */
function parseKit(bytes) {
  const match = /^wolkvox-backup evidence kit v1\norigin (\S+)\nmonth ([0-9]{4}-(?:0[1-9]|1[0-2]))\nserver-fingerprint ([0-9a-f]{64})\nagent-fingerprint ([0-9a-f]{64})\n$/
    .exec(bytes.toString('latin1'));
  if (match === null) return refuse('TEXT', 'not a kit of version 1');
  origin(match[1]);
  return { origin: match[1], month: match[2], server: match[3], agent: match[4] };
}

/**
 * Compares what a kit says with the log.
 * @param {CheckedEvidence} checked the evidence
 * @param {{agentKey: import('./note.mjs').Verifier}} atHead the key at the last head
 */
function checkKit({ kit, fold }, atHead) {
  if (kit.origin !== fold.origin) refuse('ORIGIN', `not the origin of the log, ${fold.origin}`);
  if (kit.server !== fold.genesisKey?.fingerprint) refuse('FINGERPRINT', 'the genesis key has another fingerprint');
  if (kit.agent !== atHead.agentKey?.fingerprint) refuse('FINGERPRINT', 'the key that cosigned the head has another fingerprint');
}

/**
 * Lists the numbered files of a folder in their order; other files are not part of the evidence.
 * @param {string} folder the folder; an absent one is empty
 * @returns {Array<{number: number, name: string}>} the files
 */
function numbered(folder) {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names.flatMap((name) => {
    const match = NUMBERED.exec(name);
    return match === null || name !== fileName(Number(match[1])) ? [] : [{ number: Number(match[1]), name }];
  }).sort((a, b) => a.number - b.number);
}

/**
 * Names a numbered file.
 * @param {number} number its number
 * @returns {string} the name
 */
function fileName(number) {
  return `${String(number).padStart(10, '0')}.txt`;
}

/**
 * Reads a piece, which has at most 1 MiB.
 * @param {string} file the file
 * @returns {Buffer} its bytes
 */
function readPiece(file) {
  const bytes = readFileSync(file);
  if (bytes.length > MAX_PIECE_BYTES) refuse('LIMIT', `${bytes.length} bytes, above ${MAX_PIECE_BYTES}`);
  return bytes;
}

/**
 * Reads all heads. Their signatures are verified when the log has their size.
 * @param {CheckedEvidence} checked receives the problems
 * @returns {Map<number, {file: string, head: import('./note.mjs').Head}>} the heads by size
 */
function readHeads(checked) {
  const heads = new Map();
  for (const { number, name } of numbered(join(checked.dir, 'heads'))) {
    const file = `heads/${name}`;
    guard(checked, file, () => {
      const head = parseHead(readPiece(join(checked.dir, file)));
      if (head.size !== number) refuse('SIZE', `it names ${head.size} entries`);
      if (!head.agreed) refuse('SIGNATURE', 'it is not agreed: there is no cosignature');
      heads.set(number, { file, head });
    });
  }
  if (heads.size === 0) guard(checked, 'heads', () => refuse('MISSING', 'there is no agreed head'));
  return heads;
}

/**
 * Finds every SHA256SUMS that a head completes.
 * @param {CheckedEvidence} checked receives how many are unfinished
 * @param {Map<number, object>} heads the heads by size
 * @returns {Map<number, string[]>} the nights by size
 */
function findSums(checked, heads) {
  const folder = join(checked.dir, 'nights');
  const wanted = new Map();
  for (const night of existsSync(folder) ? readdirSync(folder).sort() : []) {
    if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(night)) continue;
    for (const name of readdirSync(join(folder, night))) {
      if (!/^[0-9]{10,15}$/.test(name)) continue;
      const size = Number(name);
      if (heads.has(size)) wanted.set(size, [...wanted.get(size) ?? [], night]);
      else checked.unfinished += 1;
    }
  }
  return wanted;
}

/**
 * Folds the pieces of the log, verifies each head where the log has its size, and keeps the states that each SHA256SUMS is of.
 * @param {CheckedEvidence} checked receives fold, leaves, sums, head and problems
 * @param {Map<number, {file: string, head: import('./note.mjs').Head}>} heads the heads by size
 * @param {Map<number, string[]>} wanted the nights with a SHA256SUMS, by size
 * @returns {{agentKey: object | null, manifests: number} | null} how it stood at the last head
 */
function foldPieces(checked, heads, wanted) {
  const { fold, leaves, dir } = checked;
  const tree = new Tree();
  const last = Math.max(...heads.keys());
  let atHead = null;
  const append = (leaf) => {
    fold.append(parseEntry(leaf), leaf);
    const hash = leafHash(leaf);
    leaves.push(hash);
    tree.append(hash);
    if (!heads.has(fold.size)) return;
    const { file, head } = heads.get(fold.size);
    const good = guard(checked, file, () => checkHead(head, fold, tree));
    for (const night of wanted.get(fold.size) ?? []) checked.sums.push({ night, size: fold.size, manifests: snapshot(fold, night) });
    if (fold.size !== last) return;
    atHead = { agentKey: fold.agentKey, manifests: fold.manifests.length };
    checked.head = head;
    checked.agreed = good;
    checkSettled(checked);
  };
  for (const { number, name } of numbered(join(dir, 'ledger'))) {
    const file = `ledger/${name}`;
    const accepted = guard(checked, file, () => {
      if (number !== fold.size) refuse('MISSING', `it begins with entry ${number}, and entry ${fold.size} is in no piece before it`);
      readPiece(join(dir, file));
      for (const { leaf } of readEntries(join(dir, file), number)) append(leaf);
      if (fold.size === number) refuse('TEXT', 'it holds no entry');
    });
    if (!accepted) break;
  }
  for (const [size, { file }] of heads) {
    if (size > fold.size) guard(checked, file, () => refuse('SIZE', `it names ${size} entries, ${fold.size} are accepted`));
  }
  return atHead;
}

/**
 * Verifies a head against the log, which has its size.
 * @param {import('./note.mjs').Head} head the head
 * @param {Fold} fold the fold
 * @param {Tree} tree the tree
 */
function checkHead(head, fold, tree) {
  if (head.origin !== fold.origin) refuse('ORIGIN', `not the origin of the log, ${fold.origin}`);
  verifyHead(head, fold.serverKey, fold.agentKey);
  if (!head.root.equals(tree.root())) {
    refuse('ROOT', `it signs the root ${head.root.toString('hex')}, the first ${fold.size} entries have ${tree.root().toString('hex')}`);
  }
}

/**
 * Copies the states of a night's manifests.
 * @param {Fold} fold the fold
 * @param {string} night the night
 * @returns {Sums['manifests']} the manifests in their order
 */
function snapshot(fold, night) {
  return fold.manifests.flatMap((manifest, i) => (
    manifest.night === night ? [{ number: i + 1, items: manifest.items, states: Uint8Array.from(manifest.states) }] : []));
}

/**
 * Tells whether a night belongs to the evidence: any, or of a kit those of its month.
 * @param {CheckedEvidence} checked the evidence
 * @param {string} night the night
 * @returns {boolean} whether it does
 */
function belongs({ kit }, night) {
  return kit === null || night.startsWith(`${kit.month}-`);
}

/**
 * Checks, at the last head, that each night without pending recordings has a SHA256SUMS of what is confirmed.
 * @param {CheckedEvidence} checked receives the problems
 */
function checkSettled(checked) {
  const { fold, sums } = checked;
  for (const night of new Set(fold.manifests.map((manifest) => manifest.night))) {
    const now = snapshot(fold, night);
    if (!belongs(checked, night) || now.some(({ states }) => states.includes(PENDING))) continue;
    const latest = sums.findLast((one) => one.night === night);
    if (latest === undefined && now.every(({ states }) => !states.includes(CONFIRMED))) continue;
    const same = latest !== undefined && latest.manifests.length === now.length && now.every(({ states }, i) => (
      states.every((state, index) => (state === CONFIRMED) === (latest.manifests[i].states[index] === CONFIRMED))));
    if (!same) guard(checked, `nights/${night}`, () => refuse('MISSING', 'there is no SHA256SUMS of what is confirmed at the last head'));
  }
}

/**
 * Reads the lines of a manifest from its pieces.
 * @param {string} dir the evidence folder
 * @param {number} manifest the manifest's number
 * @yields {{index: number, line: import('./manifest.mjs').Line, bytes: Buffer}} each line
 */
function* readManifest(dir, manifest) {
  const folder = join(dir, 'manifests', String(manifest));
  let next = 0;
  for (const { number, name } of numbered(folder)) {
    if (number !== next) refuse('MISSING', `${name} begins with line ${number}, and line ${next} is in no piece before it`);
    readPiece(join(folder, name));
    for (const { index, bytes, line } of readLines(join(folder, name))) {
      yield { index: number + index, bytes, line };
      next = number + index + 1;
    }
    if (next === number) refuse('TEXT', `${name} holds no line`);
  }
}

/**
 * Checks every manifest that must be there, or is, and that no path repeats among them.
 * @param {CheckedEvidence} checked receives the problems
 * @param {number} count how many manifests the last head knows
 */
function checkManifests(checked, count) {
  const { dir, fold } = checked;
  const repeats = new RepeatFinder();
  const readable = [];
  for (let number = 1; number <= count; number += 1) {
    const manifest = fold.manifests[number - 1];
    const folder = `manifests/${number}`;
    if (!belongs(checked, manifest.night) && !existsSync(join(dir, folder))) continue;
    if (guard(checked, folder, () => checkManifest(readManifest(dir, number), manifest, repeats))) readable.push(number);
  }
  const mayRepeat = repeats.finish();
  if (mayRepeat === null) return;
  const seen = new Map();
  for (const number of readable) {
    for (const { index, line } of readManifest(dir, number)) {
      const folded = line.erased ? '' : foldPath(decodePath(line.path));
      if (line.erased || !mayRepeat(folded)) continue;
      const place = `manifest ${number} line ${index + 1}`;
      if (seen.has(folded)) guard(checked, `manifests/${number}`, () => refuse('PATH', `line ${index + 1}: the same path as ${seen.get(folded)}`));
      else seen.set(folded, place);
    }
  }
}

/**
 * Names the folder of a SHA256SUMS.
 * @param {Sums} sums the SHA256SUMS
 * @returns {string} the folder, relative to the evidence
 */
function sumsFolder({ night, size }) {
  return `nights/${night}/${String(size).padStart(10, '0')}`;
}

/**
 * Makes the lines that a SHA256SUMS must begin with.
 * @param {CheckedEvidence} checked the evidence
 * @param {Sums} sums the SHA256SUMS
 * @yields {{text: string | null, optional: boolean}} each line without LF, one character per byte; null where it is erased
 */
function* expectedLines({ dir, fold }, { manifests }) {
  const forgotten = STATES.indexOf('forgotten');
  for (const { number, states } of manifests) {
    for (const { index, line, bytes } of readManifest(dir, number)) {
      if (states[index] !== CONFIRMED) continue;
      const digest = bytes.toString('latin1', 0, 64);
      yield { text: line.erased ? null : `${digest}  ${line.path}`, optional: fold.manifests[number - 1].states[index] === forgotten };
    }
  }
}

/**
 * Makes the function that finds a file of the evidence by its path at the destination.
 * @param {CheckedEvidence} checked the evidence
 * @returns {(path: string) => string | null} the file, null where it is none of the evidence's
 */
function ownFile({ dir, fold }) {
  const parts = fold.origin === '' ? { tenant: '', destination: '', logID: '' } : origin(fold.origin);
  const prefix = `.wolkvox/evidence/${parts.tenant}-${parts.destination}/${parts.logID}/`;
  return (path) => (path.startsWith(prefix) && /^(?:ledger|heads|manifests\/[0-9]+)\/[0-9]+\.txt$/.test(path.slice(prefix.length))
    ? join(dir, path.slice(prefix.length)) : null);
}

/**
 * Summarises checked evidence.
 * @param {CheckedEvidence} checked the evidence
 * @returns {object} plain values, ready for JSON
 */
export function summariseEvidence(checked) {
  const sums = checked.sums.map(({ night, size, recordings }) => ({ night, size, recordings: recordings ?? null }));
  return { ...summarise(checked), month: checked.kit?.month ?? null, sums, unfinished: checked.unfinished };
}

/**
 * Formats a summary for people.
 * @param {ReturnType<typeof summariseEvidence>} summary the summary
 * @param {{serverFingerprint?: string, agentFingerprints?: string[]}} trusted the fingerprints compared with
 * @returns {string} lines
 */
export function humanEvidence(summary, trusted) {
  const lines = [
    ...(summary.month === null ? [] : [`kit of the month  ${summary.month}`]),
    ...summary.sums.map(({ night, size, recordings }) => `SHA256SUMS        ${night} at head ${size}: ${recordings ?? 'refused'} recordings`),
    ...(summary.unfinished === 0 ? [] : [`unfinished        ${summary.unfinished} SHA256SUMS without a head are passed over`]),
  ];
  return `${lines.map((line) => `${line}\n`).join('')}${humanLedger(summary, trusted)}`;
}
