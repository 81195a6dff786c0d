/** Keys, signed notes, checkpoints and cosignatures (proto/README.md 1.2 and 1.5). */
import { createPublicKey, verify } from 'node:crypto';
import { base64, decimal, decodeText, origin, quote, refuse } from './forms.mjs';
import { sha256 } from './tree.mjs';

const ED25519 = 0x01;
const COSIGNATURE = 0x04;
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const SIGNATURE_BYTES = 64;
const TIME_BYTES = 8;
const LAST_SECOND = BigInt(Date.UTC(9999, 11, 31, 23, 59, 59) / 1000);

/**
 * @typedef {object} Verifier a public key with its name
 * @property {string} text its text form
 * @property {string} name its NAME
 * @property {string} id its ID for Ed25519 signatures, in hex
 * @property {string} cosignatureID its ID for cosignatures, in hex
 * @property {string} fingerprint the SHA-256 of its text form, in hex
 * @property {import('node:crypto').KeyObject} key the public key
 */

/**
 * @typedef {object} Note a signed note
 * @property {string} text the signed text
 * @property {Array<{name: string, id: string, signature: Buffer}>} signatures its signature lines
 */

/**
 * Computes the ID of a key.
 * @param {string} name the key's NAME
 * @param {number} type the type byte
 * @param {Buffer} publicKey the 32 bytes
 * @returns {string} four bytes in hex
 */
function keyID(name, type, publicKey) {
  return sha256(Buffer.concat([Buffer.from(`${name}\n`), Buffer.from([type]), publicKey])).toString('hex', 0, 4);
}

/**
 * Parses a verifier.
 * @param {string} text the text form, NAME+ID+KEY
 * @returns {Verifier} the key
 */
export function verifier(text) {
  const match = /^([!-*,-~]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text);
  if (match === null) return refuse('TEXT', `${quote(text)} is not a verifier`);
  const [, name, id] = match;
  const bytes = base64(match[3]);
  if (bytes.length !== 33 || bytes[0] !== ED25519) refuse('TEXT', `${quote(text)} holds no Ed25519 key`);
  const publicKey = bytes.subarray(1);
  if (keyID(name, ED25519, publicKey) !== id) refuse('TEXT', `${quote(text)} has an ID that is not its key's`);
  return {
    text,
    name,
    id,
    cosignatureID: keyID(name, COSIGNATURE, publicKey),
    fingerprint: sha256(Buffer.from(text)).toString('hex'),
    key: createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' }),
  };
}

/**
 * Parses a signed note. No signature is verified here.
 * @param {Buffer} bytes the exact bytes
 * @returns {Note} the note
 */
export function parseNote(bytes) {
  const whole = decodeText(bytes);
  const end = whole.lastIndexOf('\n\n');
  if (end < 0) return refuse('TEXT', 'no empty line before the signatures');
  const lines = whole.slice(end + 2).split('\n').slice(0, -1);
  if (lines.length === 0) refuse('TEXT', 'no signature line');
  return { text: whole.slice(0, end + 1), signatures: lines.map(signatureLine) };
}

/**
 * Parses one signature line.
 * @param {string} line the line without its LF
 * @returns {{name: string, id: string, signature: Buffer}} its parts
 */
function signatureLine(line) {
  const match = /^\u2014 ([!-*,-~]+) ([A-Za-z0-9+/=]+)$/.exec(line);
  if (match === null) return refuse('TEXT', `${quote(line)} is not a signature line`);
  const bytes = base64(match[2]);
  if (bytes.length <= 4) refuse('TEXT', 'a signature line without a signature');
  return { name: match[1], id: bytes.toString('hex', 0, 4), signature: bytes.subarray(4) };
}

/**
 * Tells whether a signature line names a key.
 * @param {Note['signatures'][number] | undefined} line the signature line
 * @param {Verifier} key the key
 * @returns {boolean} whether NAME and ID are the key's
 */
export function names(line, key) {
  return line !== undefined && line.name === key.name && line.id === key.id;
}

/**
 * Verifies that a note has exactly the signatures of the given keys, in their order.
 * @param {Note} note the note
 * @param {Verifier[]} keys the keys
 */
export function verifyNote(note, keys) {
  if (note.signatures.length !== keys.length) {
    refuse('SIGNATURE', `${note.signatures.length} signatures where there must be ${keys.length}`);
  }
  keys.forEach((key, i) => verifyLine(note.text, note.signatures[i], key));
}

/**
 * Verifies one Ed25519 signature line.
 * @param {string} text the signed text
 * @param {Note['signatures'][number]} line the signature line
 * @param {Verifier} key the key that must have signed
 */
function verifyLine(text, line, key) {
  if (!names(line, key)) refuse('SIGNATURE', `a signature of ${quote(line.name)}, where ${quote(key.name)} with ID ${key.id} must sign`);
  if (line.signature.length !== SIGNATURE_BYTES || !verify(null, Buffer.from(text), key.key, line.signature)) {
    refuse('SIGNATURE', `the signature of ${quote(line.name)} does not verify`);
  }
}

/**
 * @typedef {object} Head a checkpoint with its signatures
 * @property {Note} note the signed note
 * @property {string} origin the log's origin
 * @property {number} size the number of leaves, at least 1
 * @property {Buffer} root the root hash
 * @property {boolean} agreed whether it carries a second signature, the agent's
 */

/**
 * Parses a head, agreed or not. No signature is verified here.
 * @param {Buffer} bytes the exact bytes
 * @returns {Head} the head
 */
export function parseHead(bytes) {
  const note = parseNote(bytes);
  const lines = note.text.split('\n');
  if (lines.length !== 4) refuse('TEXT', 'a checkpoint has exactly three lines');
  origin(lines[0]);
  const size = decimal(lines[1]);
  if (size === 0) refuse('TEXT', 'a checkpoint of no entries');
  const root = base64(lines[2]);
  if (root.length !== 32) refuse('TEXT', 'the root hash is not one of 32 bytes');
  return { note, origin: lines[0], size, root, agreed: note.signatures.length > 1 };
}

/**
 * Verifies the signatures of a head.
 * @param {Head} head the head
 * @param {Verifier} server the server's key at the head's size
 * @param {Verifier | null} agent the agent's key at the head's size
 */
export function verifyHead(head, server, agent) {
  const { text, signatures } = head.note;
  if (signatures.length > 2) refuse('SIGNATURE', `${signatures.length} signatures where there must be at most 2`);
  verifyLine(text, signatures[0], server);
  if (!head.agreed) return;
  if (agent === null) return refuse('SIGNATURE', 'a cosignature where no agent key is assigned');
  const line = signatures[1];
  if (line.name !== agent.name || line.id !== agent.cosignatureID) {
    refuse('SIGNATURE', `a cosignature of ${quote(line.name)}, where ${quote(agent.name)} with ID ${agent.cosignatureID} must sign`);
  }
  if (line.signature.length !== TIME_BYTES + SIGNATURE_BYTES) refuse('SIGNATURE', 'a cosignature of another length');
  const seconds = line.signature.readBigUInt64BE(0);
  if (seconds > LAST_SECOND) refuse('TEXT', 'a cosignature after the year 9999');
  const message = Buffer.from(`cosignature/v1\ntime ${seconds}\n${text}`);
  if (!verify(null, message, agent.key, line.signature.subarray(TIME_BYTES))) {
    refuse('SIGNATURE', 'the cosignature does not verify');
  }
}
