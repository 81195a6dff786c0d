/** Manifest lines and whole manifest files (proto/README.md 1.4). */
import { MAX_LINE_BYTES, Refusal, decimal, hash, quote, refuse, time, unescape } from './forms.mjs';
import { checkPortable, decodePath, foldPath } from './path.mjs';
import { ByteReader } from './reader.mjs';
import { STATES } from './fold.mjs';
import { Tree, leafHash } from './tree.mjs';

const KINDS = new Set(['gsm', 'wav49', 'mp3', 'chat', 'other']);
const MAX_INTERACTION_BYTES = 128;
const MAX_SOURCE_BYTES = 4096;
const MAX_PATH_BYTES = 800;
const FORGOTTEN = STATES.indexOf('forgotten');

/**
 * @typedef {object} Line a manifest line; paths have one character per byte
 * @property {Buffer} leafHash its leaf hash
 * @property {boolean} erased whether only the leaf hash is left
 * @property {number} [size] the recording's size in bytes
 * @property {string} [path] the portable path
 * @property {string} [sourcePath] the source path
 */

/**
 * Parses a manifest line.
 * @param {Buffer} bytes the line without its LF
 * @returns {Line} the line
 */
export function parseLine(bytes) {
  if (bytes.length > MAX_LINE_BYTES) refuse('LIMIT', `a line of more than ${MAX_LINE_BYTES} bytes`);
  const fields = bytes.toString('latin1').split(' ');
  if (fields.length === 2 && fields[0] === 'forgotten') {
    return { leafHash: Buffer.from(hash(fields[1]), 'hex'), erased: true };
  }
  if (fields.length !== 7) refuse('TEXT', `${fields.length} fields instead of 7`);
  const [digest, size, kind, recorded, interaction, path, sourcePath] = fields;
  hash(digest);
  if (!KINDS.has(kind)) refuse('TEXT', `the kind ${quote(kind)}`);
  if (recorded !== '-') time(recorded);
  if (interaction !== '-') unescape(interaction, MAX_INTERACTION_BYTES);
  const portable = unescape(path, MAX_PATH_BYTES);
  checkPortable(portable);
  const source = sourcePath === '-' ? portable : unescape(sourcePath, MAX_SOURCE_BYTES);
  if (sourcePath !== '-' && source === portable) refuse('TEXT', 'a source path that equals the path');
  return { leafHash: leafHash(bytes), erased: false, size: decimal(size), path: portable, sourcePath: source };
}

/**
 * Reads the lines of a manifest file.
 * @param {string} file the file
 * @yields {{index: number, bytes: Buffer, line: Line}} each line, its bytes without LF
 */
export function* readLines(file) {
  const reader = ByteReader.open(file);
  let index = 0;
  try {
    for (;;) {
      const bytes = reader.line(MAX_LINE_BYTES);
      if (bytes === null) return;
      yield { index, bytes, line: parseLine(bytes) };
      index += 1;
    }
  } catch (error) {
    throw error instanceof Refusal ? new Refusal(error.reason, `line ${index + 1}: ${error.message}`) : error;
  } finally {
    reader.close();
  }
}

/**
 * Checks the lines of a manifest against what was sealed and folded.
 * @param {Iterable<{index: number, line: Line}>} lines the lines in order
 * @param {import('./fold.mjs').Manifest} manifest the manifest
 * @param {import('./path.mjs').RepeatFinder} repeats collects the paths of all manifests
 */
export function checkManifest(lines, manifest, repeats) {
  const tree = new Tree();
  let bytes = 0;
  let erased = 0;
  let before = null;
  for (const { index, line } of lines) {
    if (index >= manifest.items) refuse('ITEMS', `more lines than the ${manifest.items} items sealed`);
    tree.append(line.leafHash);
    if (line.erased) {
      erased += 1;
      if (manifest.states[index] !== FORGOTTEN) refuse('FORGOTTEN', `line ${index + 1}: erased, but the ledger does not forget index ${index}`);
      continue;
    }
    if (before !== null && line.path <= before) refuse('ORDER', `line ${index + 1}: its path is not after the one before`);
    before = line.path;
    bytes += line.size;
    if (bytes > manifest.bytes) refuse('BYTES', `line ${index + 1}: the sizes exceed the ${manifest.bytes} bytes sealed`);
    repeats.add(foldPath(decodePath(line.path)));
  }
  if (tree.size !== manifest.items) refuse('ITEMS', `${tree.size} lines, ${manifest.items} items sealed`);
  if (tree.root().toString('hex') !== manifest.root) refuse('ROOT', `its root is ${tree.root().toString('hex')}, sealed is ${manifest.root}`);
  if (erased === 0 && bytes !== manifest.bytes) refuse('BYTES', `its sizes add up to ${bytes} bytes, sealed are ${manifest.bytes}`);
}
