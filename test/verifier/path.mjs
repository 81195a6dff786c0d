/** Portable paths and when two of them are the same (proto/README.md 1.4). */
import { UTF8, quote, refuse } from './forms.mjs';
import { sha256 } from './tree.mjs';

const MAX_PATH_BYTES = 800;
const MAX_COMPONENT_BYTES = 200;
const OWN_FILES = '.WOLKVOX';
const LONGEST_DEVICE = 'CONOUT$'.length;
const DEVICE = /^(?:CON|PRN|AUX|NUL|(?:COM|LPT)[0-9\u00b9\u00b2\u00b3]|CONIN\$|CONOUT\$)$/;

/**
 * Decodes bytes that must be UTF-8.
 * @param {string} bytes one character per byte
 * @returns {string} the text
 */
export function decodePath(bytes) {
  if (!/[\x80-\xff]/.test(bytes)) return bytes;
  try {
    return UTF8.decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return refuse('TEXT', `the path ${quote(bytes)} is not valid UTF-8`);
  }
}

/**
 * Checks a portable path.
 * @param {string} bytes the unescaped path, one character per byte
 */
export function checkPortable(bytes) {
  if (bytes.length > MAX_PATH_BYTES) refuse('TEXT', `a path of ${bytes.length} bytes, above ${MAX_PATH_BYTES}`);
  decodePath(bytes);
  const components = bytes.split('/');
  for (const component of components) {
    if (component.length < 1 || component.length > MAX_COMPONENT_BYTES) {
      refuse('TEXT', `the path ${quote(bytes)} has a component of ${component.length} bytes`);
    }
    if (/[\x00-\x1f\x7f<>:"\\|?*]/.test(component)) refuse('TEXT', `the path ${quote(bytes)} has a character that is not portable`);
    if (/^ |[. ]$/.test(component)) refuse('TEXT', `the path ${quote(bytes)} has a component with a space or dot at its edge`);
    const stem = decodePath(component.split('.', 1)[0].replace(/ +$/, ''));
    if (stem.length <= LONGEST_DEVICE && DEVICE.test(upperASCII(stem))) refuse('TEXT', `the path ${quote(bytes)} names the device ${quote(stem)}`);
  }
  if (upperASCII(components[0].slice(0, OWN_FILES.length)) === OWN_FILES) refuse('TEXT', `the path ${quote(bytes)} is among the agent's own files`);
}

/**
 * Changes ASCII letters to upper case and nothing else.
 * @param {string} text any text
 * @returns {string} the text in upper case
 */
function upperASCII(text) {
  return text.replace(/[a-z]/g, (letter) => letter.toUpperCase());
}

/**
 * Folds a path: two paths with the same result are the same path. Case folding is built from the
 * case mappings of Unicode that JavaScript has: only the dotless i, which has no folding but has an
 * upper case, and the final sigma, which has its own lower case, need a word of their own.
 * @param {string} path the path
 * @returns {string} NFKC, then case folding, then NFKC
 */
export function foldPath(path) {
  if (!/[^\x00-\x7f]/.test(path)) return path.toLowerCase();
  const folded = path.normalize('NFKC').replace(/[^\x00-\x7f\u0131]/gu, (c) => c.toLowerCase().toUpperCase().toLowerCase());
  return folded.replace(/[A-Z]/g, (letter) => letter.toLowerCase()).replaceAll('\u03c2', '\u03c3').normalize('NFKC');
}

/**
 * Finds paths that repeat among all manifests in memory of eight bytes for each: it collects a part of
 * a hash of every path and names those parts that occur twice. The paths behind them must be compared.
 */
export class RepeatFinder {
  /** Makes an empty finder. */
  constructor() {
    this.count = 0;
    this.parts = new BigUint64Array(1024);
  }

  /**
   * Adds a path.
   * @param {string} folded the folded path
   */
  add(folded) {
    if (this.count === this.parts.length) {
      const grown = new BigUint64Array(2 * this.count);
      grown.set(this.parts);
      this.parts = grown;
    }
    Buffer.from(this.parts.buffer).set(RepeatFinder.#hash(folded), 8 * this.count);
    this.count += 1;
  }

  /**
   * Makes the test for paths that may repeat. It ends the collection.
   * @returns {((folded: string) => boolean) | null} the test; null where nothing repeats
   */
  finish() {
    const sorted = this.parts.subarray(0, this.count).sort();
    const repeated = new Set();
    for (let i = 1; i < sorted.length; i += 1) {
      if (sorted[i] === sorted[i - 1]) repeated.add(Buffer.from(sorted.buffer, 8 * i, 8).toString('hex'));
    }
    return repeated.size === 0 ? null : (folded) => repeated.has(RepeatFinder.#hash(folded).toString('hex'));
  }

  /**
   * Hashes a folded path.
   * @param {string} folded the folded path
   * @returns {Buffer} the first eight bytes of its SHA-256
   */
  static #hash(folded) {
    return sha256(Buffer.from(folded)).subarray(0, 8);
  }
}
