/** Checking what witnesses signed of a ledger (proto/README.md 1.9). */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { base64, decimal, quote, refuse } from './forms.mjs';
import { parseEntry } from './entry.mjs';
import { LEDGER, readEntries } from './ledger.mjs';
import { parseHead, verifier, verifyHead, verifyNote } from './note.mjs';
import { ByteReader } from './reader.mjs';
import { Tree, leafHash, sha256 } from './tree.mjs';

const WITNESS = 'witness.txt';
const MAX_NOTE_BYTES = 65536;
const COSIGNATURE = 0x04;

/**
 * Parses the key of a witness.
 * @param {string} text NAME+ID+KEY with the type byte of cosignatures
 * @returns {import('./note.mjs').Verifier} the key
 */
export function witnessKey(text) {
  const [name, id, ...rest] = text.split('+'); // base64 holds plus signs too
  const bytes = base64(rest.join('+'));
  if (bytes.length !== 33 || bytes[0] !== COSIGNATURE) return refuse('TEXT', `${quote(text)} is no key of a witness`);
  const typed = Buffer.concat([Buffer.from([1]), bytes.subarray(1)]);
  const ed25519ID = sha256(Buffer.concat([Buffer.from(`${name}\n`), typed])).toString('hex', 0, 4);
  const parsed = verifier(`${name}+${ed25519ID}+${typed.toString('base64')}`);
  if (parsed.cosignatureID !== id) refuse('TEXT', `${quote(text)} has an ID that is not its key's`);
  return parsed;
}

/**
 * @typedef {object} Witnessed what one cosignature shows
 * @property {string} name the name of the witness
 * @property {string} id its ID
 * @property {boolean} known whether it is one of the given keys, and verified
 * @property {number} size how many entries it signed
 * @property {string} time when, as the witness says
 */

/**
 * Checks the witness.txt of an export against its ledger, which must be valid.
 * @param {import('./ledger.mjs').Checked} checked the ledger
 * @param {import('./note.mjs').Verifier[]} keys the keys of the witnesses that are trusted
 * @returns {Witnessed[]} what was signed; nothing where there is no such file
 */
export function checkWitnesses(checked, keys) {
  const file = join(checked.dir, WITNESS);
  if (!existsSync(file)) return [];
  const notes = parseWitnesses(readFileSync(file));
  for (const { origin, size } of notes) {
    if (origin !== checked.fold.origin) refuse('ORIGIN', `a witness signed a head of ${origin}, not of ${checked.fold.origin}`);
    if (size > checked.fold.size) {
      refuse('SIZE', `a witness signed ${size} entries, but the ledger has only ${checked.fold.size}: its end is missing, or it is another`);
    }
  }
  const at = statesAt(checked, new Set(notes.map(({ size }) => size)));
  const seen = new Set();
  return notes.flatMap((head) => {
    const { root, serverKey } = at.get(head.size);
    if (!head.root.equals(root)) {
      refuse('ROOT', `a witness signed another history: the root ${head.root.toString('hex')} of ${head.size} entries, which here have ${root.toString('hex')}`);
    }
    const [first, ...cosignatures] = head.note.signatures;
    verifyNote({ text: head.note.text, signatures: [first] }, [serverKey]);
    if (cosignatures.length === 0) refuse('SIGNATURE', 'a head without the signature of a witness');
    return cosignatures.map((line) => witnessed(head, first, line, serverKey, keys, seen));
  });
}

/**
 * Parses a witness.txt.
 * @param {Buffer} bytes the file
 * @returns {Array<import('./note.mjs').Head>} the heads in it
 */
function parseWitnesses(bytes) {
  const reader = ByteReader.over(bytes);
  const heads = [];
  while (!reader.atEnd()) {
    const [word, count, ...more] = reader.line(80).toString('latin1').split(' ');
    if (word !== 'witness' || count === undefined || more.length > 0) refuse('TEXT', 'the line "witness BYTES" is missing');
    const size = decimal(count);
    if (size > MAX_NOTE_BYTES) refuse('LIMIT', `a head of ${size} bytes`);
    heads.push(parseHead(reader.take(size)));
  }
  return heads;
}

/**
 * Finds the tree and the server's key at some sizes of the log.
 * @param {import('./ledger.mjs').Checked} checked the ledger
 * @param {Set<number>} sizes the sizes
 * @returns {Map<number, {root: Buffer, serverKey: import('./note.mjs').Verifier}>} what they were
 */
function statesAt(checked, sizes) {
  const tree = new Tree();
  const states = new Map();
  let serverKey = null;
  for (const { leaf } of readEntries(join(checked.dir, LEDGER))) {
    const { kind, values } = parseEntry(leaf);
    if (kind === 'genesis') serverKey = values['server-key'];
    if (kind === 'rekeyed') serverKey = values['new-key'];
    tree.append(leafHash(leaf));
    if (sizes.has(tree.size)) states.set(tree.size, { root: tree.root(), serverKey });
  }
  return states;
}

/**
 * Judges one cosignature.
 * @param {import('./note.mjs').Head} head the head
 * @param {object} first its first signature line, the server's
 * @param {{name: string, id: string, signature: Buffer}} line the cosignature
 * @param {import('./note.mjs').Verifier} serverKey the server's key at its size
 * @param {import('./note.mjs').Verifier[]} keys the keys of the witnesses that are trusted
 * @param {Set<string>} seen the witnesses before it
 * @returns {Witnessed} what it shows
 */
function witnessed(head, first, line, serverKey, keys, seen) {
  const witness = `${line.name} ${line.id}`;
  if (seen.has(witness)) refuse('SIGNATURE', `two signatures of ${quote(line.name)}`);
  seen.add(witness);
  const key = keys.find(({ name, cosignatureID }) => name === line.name && cosignatureID === line.id);
  if (key === undefined) return { name: line.name, id: line.id, known: false, size: head.size, time: '-' };
  verifyHead({ agreed: true, note: { text: head.note.text, signatures: [first, line] } }, serverKey, key);
  const time = `${new Date(Number(line.signature.readBigUInt64BE(0)) * 1000).toISOString().slice(0, 19)}Z`;
  return { name: line.name, id: line.id, known: true, size: head.size, time };
}

/**
 * Formats what witnesses signed.
 * @param {Witnessed[]} found what they signed
 * @param {import('./note.mjs').Verifier[]} keys the keys of the witnesses that are trusted
 * @returns {{text: string, missing: boolean}} lines, and whether a trusted witness signed nothing
 */
export function humanWitnesses(found, keys) {
  const missing = keys.filter(({ name, cosignatureID }) => !found.some((one) => one.known && one.name === name && one.id === cosignatureID));
  const lines = [
    ...found.map(({ name, known, size, time }) => (known ? `witness           ${name} signed ${size} entries at ${time}` : `witness           ${name}: not compared`)),
    ...missing.map(({ name }) => `witness           ${name} signed nothing here`),
    ...(found.length === 0 ? ['No witness signed this ledger.'] : []),
  ];
  return { text: `${lines.join('\n')}\n`, missing: missing.length > 0 };
}
