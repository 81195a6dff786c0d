/** Reading and checking an exported ledger (proto/README.md 1.6). */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { MAX_ENTRY_BYTES, Refusal, decimal, quote, refuse } from './forms.mjs';
import { namesItem, parseEntry } from './entry.mjs';
import { Fold } from './fold.mjs';
import { checkManifest, readLines } from './manifest.mjs';
import { parseHead, verifyHead } from './note.mjs';
import { RepeatFinder, decodePath, foldPath } from './path.mjs';
import { ByteReader } from './reader.mjs';
import { HashList, Tree, leafHash } from './tree.mjs';

const MAX_FRAME_BYTES = 64;

/** The file of the entries in an export. */
export const LEDGER = 'ledger.txt';
/** The file of the head in an export. */
export const HEAD = 'head.txt';

/**
 * @typedef {object} Problem something refused or mismatched
 * @property {string} file the file, relative to the export
 * @property {number} [entry] the entry's index
 * @property {string} reason the reason code
 * @property {string} message what is wrong
 */

/**
 * @typedef {object} Checked an export that was checked
 * @property {string} dir the folder
 * @property {Problem[]} problems what was refused or mismatched; empty if the ledger is valid
 * @property {Fold} fold the state after the last accepted entry
 * @property {HashList} leaves the leaf hashes of the accepted entries
 * @property {import('./note.mjs').Head | null} head the head, null where it has no canonical text
 * @property {import('./note.mjs').Verifier[]} agentKeys the agent's keys that no agreement with a later key vouches
 *   for: the one of the agreed head and those assigned after it; all where nothing is agreed
 * @property {boolean} agreed whether the head is verified and agreed
 */

/**
 * Reads the entries of an exported ledger, or of a piece of one, one after the other.
 * @param {string} file the ledger.txt, or the piece
 * @param {number} [first] the index of its first entry
 * @yields {{index: number, leaf: Buffer}} each entry's exact bytes
 */
export function* readEntries(file, first = 0) {
  const reader = ByteReader.open(file);
  try {
    for (let index = first; !reader.atEnd(); index += 1) {
      const frame = reader.line(MAX_FRAME_BYTES).toString('latin1');
      const parts = frame.split(' ');
      if (parts.length !== 3 || parts[0] !== 'entry') refuse('TEXT', `${quote(frame)} is not "entry INDEX BYTES"`);
      if (decimal(parts[1]) !== index) refuse('TEXT', `${quote(frame)} where entry ${index} must stand`);
      const bytes = decimal(parts[2]);
      if (bytes > MAX_ENTRY_BYTES) refuse('LIMIT', `${bytes} bytes, above ${MAX_ENTRY_BYTES}`);
      yield { index, leaf: reader.take(bytes) };
    }
  } finally {
    reader.close();
  }
}

/**
 * Checks an exported ledger: every entry, the head and every manifest.
 * @param {string} dir the export's folder
 * @param {{serverFingerprint?: string, agentFingerprints?: string[]}} trusted the fingerprints that the client wrote down
 * @returns {Checked} what was found
 */
export function checkLedger(dir, trusted) {
  const checked = {
    dir, problems: [], fold: new Fold(), leaves: new HashList(), head: null, agentKeys: [], agreed: false,
  };
  guard(checked, HEAD, () => {
    checked.head = parseHead(readFileSync(join(dir, HEAD)));
  });
  const atHead = foldEntries(checked);
  if (checked.head !== null) guard(checked, HEAD, () => checkHead(checked, atHead));
  checked.agentKeys = unvouchedAgentKeys(checked, atHead);
  guard(checked, LEDGER, () => checkTrusted(checked.fold.genesisKey, checked.agentKeys, trusted));
  checkManifests(checked);
  return checked;
}

/**
 * Runs one check and records its refusal or the lack of its file.
 * @param {Checked} checked where to record
 * @param {string} file the file, relative to the export
 * @param {() => void} check the check
 * @returns {boolean} whether nothing was refused
 */
export function guard(checked, file, check) {
  try {
    check();
    return true;
  } catch (error) {
    if (error instanceof Refusal) checked.problems.push({ file, reason: error.reason, message: error.message });
    else if (error.code === 'ENOENT') checked.problems.push({ file, reason: 'MISSING', message: 'the file is not in the export' });
    else throw error;
    return false;
  }
}

/**
 * Folds all entries up to the first refused one.
 * @param {Checked} checked receives fold, leaves and problems
 * @returns {{root: Buffer, serverKey: object, agentKey: object | null} | null} the tree and the keys at the head's size
 */
function foldEntries(checked) {
  const { fold, leaves } = checked;
  const tree = new Tree();
  let atHead = null;
  const accepted = guard(checked, LEDGER, () => {
    for (const { leaf } of readEntries(join(checked.dir, LEDGER))) {
      fold.append(parseEntry(leaf), leaf);
      const hash = leafHash(leaf);
      leaves.push(hash);
      tree.append(hash);
      if (tree.size === checked.head?.size) atHead = { root: tree.root(), serverKey: fold.serverKey, agentKey: fold.agentKey };
    }
    if (fold.size === 0) refuse('GENESIS', 'the ledger has no entry');
  });
  if (!accepted && checked.problems.at(-1).reason !== 'MISSING') checked.problems.at(-1).entry = fold.size;
  return atHead;
}

/**
 * Checks the head against the log.
 * @param {Checked} checked receives agreed
 * @param {ReturnType<typeof foldEntries>} atHead the tree and the keys at the head's size
 */
function checkHead(checked, atHead) {
  const { head, fold } = checked;
  if (atHead === null) return refuse('SIZE', `it names ${head.size} entries, ${fold.size} are accepted`);
  if (head.origin !== fold.origin) refuse('ORIGIN', `not the origin of the log, ${fold.origin}`);
  verifyHead(head, atHead.serverKey, atHead.agentKey);
  if (!head.root.equals(atHead.root)) {
    refuse('ROOT', `it signs the root ${head.root.toString('hex')}, the first ${head.size} entries have ${atHead.root.toString('hex')}`);
  }
  checked.agreed = head.agreed;
}

/**
 * Finds the agent's keys whose fingerprints must be those that the client wrote down. A key that was
 * replaced before the agreed head needs none: who cosigned that head vouches for all before it.
 * @param {Checked} checked the ledger with its head
 * @param {ReturnType<typeof foldEntries>} atHead the keys at the head's size
 * @returns {import('./note.mjs').Verifier[]} the keys, each once
 */
export function unvouchedAgentKeys({ fold, head, agreed }, atHead) {
  const assigned = fold.assignments.filter(({ entry }) => !agreed || entry >= head.size).map(({ key }) => key);
  const keys = agreed ? [atHead.agentKey, ...assigned] : assigned;
  return Array.from(new Map(keys.map((key) => [key.text, key])).values());
}

/**
 * Compares keys with the fingerprints that the client wrote down when enrolling.
 * @param {import('./note.mjs').Verifier | null} genesisKey the key that the genesis names
 * @param {import('./note.mjs').Verifier[]} agentKeys the agent's keys that must be known
 * @param {{serverFingerprint?: string, agentFingerprints?: string[]}} trusted the fingerprints
 */
export function checkTrusted(genesisKey, agentKeys, { serverFingerprint, agentFingerprints = [] }) {
  if (serverFingerprint !== undefined && genesisKey !== null && genesisKey.fingerprint !== serverFingerprint) {
    refuse('FINGERPRINT', `the genesis key has the fingerprint ${genesisKey.fingerprint}, expected is ${serverFingerprint}`);
  }
  if (agentFingerprints.length === 0) return;
  if (agentKeys.length === 0) refuse('FINGERPRINT', 'no agent key is assigned, but one is expected');
  for (const key of agentKeys) {
    if (!agentFingerprints.includes(key.fingerprint)) {
      refuse('FINGERPRINT', `the agent key ${key.name} has the fingerprint ${key.fingerprint}, which is not expected`);
    }
  }
}

/**
 * Names a manifest's file.
 * @param {number} number the manifest's number
 * @returns {string} the file, relative to the export
 */
export function manifestFile(number) {
  return `manifests/${number}.txt`;
}

/**
 * Checks every manifest that was sealed, that no path repeats among them, and that there are no others.
 * @param {Checked} checked receives the problems
 */
function checkManifests(checked) {
  const { dir, fold } = checked;
  const repeats = new RepeatFinder();
  const readable = fold.manifests.flatMap((manifest, i) => {
    const file = manifestFile(i + 1);
    return guard(checked, file, () => checkManifest(readLines(join(dir, file)), manifest, repeats)) ? [file] : [];
  });
  const mayRepeat = repeats.finish();
  if (mayRepeat !== null) reportRepeats(checked, readable, mayRepeat);
  const wholeLedger = checked.problems.every((problem) => problem.file !== LEDGER);
  if (wholeLedger) reportUnsealed(checked);
}

/**
 * Compares the paths that may repeat and reports those that do.
 * @param {Checked} checked receives the problems
 * @param {string[]} files the manifest files without another problem
 * @param {(folded: string) => boolean} mayRepeat tells which paths to compare
 */
function reportRepeats(checked, files, mayRepeat) {
  const seen = new Map();
  for (const file of files) {
    for (const { index, line } of readLines(join(checked.dir, file))) {
      const folded = line.erased ? '' : foldPath(decodePath(line.path));
      if (line.erased || !mayRepeat(folded)) continue;
      const place = `${file} line ${index + 1}`;
      if (seen.has(folded)) {
        checked.problems.push({ file, reason: 'PATH', message: `line ${index + 1}: the same path as ${seen.get(folded)}` });
      } else {
        seen.set(folded, place);
      }
    }
  }
}

/**
 * Reports manifest files that no entry sealed.
 * @param {Checked} checked receives the problems
 */
function reportUnsealed(checked) {
  let files = [];
  guard(checked, 'manifests', () => {
    if (checked.fold.manifests.length > 0) files = readdirSync(join(checked.dir, 'manifests'));
  });
  const sealed = new Set(checked.fold.manifests.map((_, i) => `${i + 1}.txt`));
  for (const file of files.filter((name) => name.endsWith('.txt') && !sealed.has(name))) {
    checked.problems.push({ file: `manifests/${file}`, reason: 'MANIFEST', message: 'no entry seals this manifest' });
  }
}

/**
 * @typedef {object} Item one recording of a checked ledger
 * @property {number} manifest the manifest's number
 * @property {number} index the index in it
 * @property {Buffer} bytes its line without LF
 * @property {import('./manifest.mjs').Line} line its line
 */

/**
 * Finds recordings.
 * @param {Checked} checked a valid ledger
 * @param {string} wanted MANIFEST/INDEX, or a path or source path exactly as it is (not escaped)
 * @returns {Item[]} the recordings; several may have had the same source path
 */
export function findItems(checked, wanted) {
  const place = /^([1-9][0-9]{0,14})\/(0|[1-9][0-9]{0,14})$/.exec(wanted);
  if (place !== null) {
    const [manifest, index] = [Number(place[1]), Number(place[2])];
    if (index < (checked.fold.manifests[manifest - 1]?.items ?? 0)) {
      return itemsWhere(checked, manifest, (item) => item.index === index);
    }
  }
  const path = Buffer.from(wanted).toString('latin1');
  return checked.fold.manifests.flatMap((_, i) => (
    itemsWhere(checked, i + 1, ({ line }) => !line.erased && (line.path === path || line.sourcePath === path))));
}

/**
 * Finds recordings of one manifest.
 * @param {Checked} checked a valid ledger
 * @param {number} manifest the manifest's number
 * @param {(item: Omit<Item, 'manifest'>) => boolean} isWanted the test
 * @returns {Item[]} the recordings
 */
function itemsWhere(checked, manifest, isWanted) {
  const found = [];
  for (const item of readLines(join(checked.dir, manifestFile(manifest)))) {
    if (isWanted(item)) found.push({ ...item, bytes: Buffer.from(item.bytes), manifest });
  }
  return found;
}

/**
 * Collects the entries that name a recording.
 * @param {Checked} checked a valid ledger
 * @param {Item} item the recording
 * @returns {Array<{index: number, entry: import('./entry.mjs').Entry}>} the entries in order
 */
export function entriesNaming(checked, item) {
  const found = [];
  for (const { index, leaf } of readEntries(join(checked.dir, LEDGER))) {
    const entry = parseEntry(leaf);
    if (namesItem(entry, item.manifest, item.index)) found.push({ index, entry });
  }
  return found;
}
