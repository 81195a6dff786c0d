/**
 * The text forms of proto/README.md 1.1: every function takes a text and returns what it means, or
 * refuses it. A form is accepted only in its one canonical spelling.
 */

/** The greatest decimal, 2^53-1: every accepted decimal is an exact JavaScript number. */
export const MAX_DECIMAL = Number.MAX_SAFE_INTEGER;
/** The greatest number of items in one manifest; every index is below it. */
export const MAX_ITEMS = 4000000;
/** The greatest number of ranges in one `indexes`. */
export const MAX_RANGES = 4096;
/** The greatest size of an entry in bytes, signatures included. */
export const MAX_ENTRY_BYTES = 65536;
/** The greatest size of a manifest line in bytes, without its LF. */
export const MAX_LINE_BYTES = 16384;

/** Decodes UTF-8 strictly and keeps a byte order mark. */
export const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A text, entry or file that is refused, with its reason code. */
export class Refusal extends Error {
  /**
   * @param {string} reason the reason code, such as TEXT
   * @param {string} message what is wrong
   */
  constructor(reason, message) {
    super(message);
    this.reason = reason;
  }
}

/**
 * Refuses.
 * @param {string} reason the reason code
 * @param {string} message what is wrong
 * @returns {never}
 */
export function refuse(reason, message) {
  throw new Refusal(reason, message);
}

/**
 * Shortens a text for a message, so that a hostile one cannot fill a terminal or steer it.
 * @param {string} text any text
 * @returns {string} the text in quotes, printable, at most about 80 characters
 */
export function quote(text) {
  const short = text.length > 80 ? `${text.slice(0, 77)}...` : text;
  return JSON.stringify(short).replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * Decodes the bytes of a text: UTF-8 without byte order mark, LF at the end, no control characters.
 * @param {Buffer} bytes the bytes
 * @returns {string} the text, which encodes to the same bytes
 */
export function decodeText(bytes) {
  let text;
  try {
    text = UTF8.decode(bytes);
  } catch {
    return refuse('TEXT', 'not valid UTF-8');
  }
  if (text.startsWith('\ufeff')) refuse('TEXT', 'a byte order mark');
  if (/[\x00-\x09\x0b-\x1f\x7f]/.test(text)) refuse('TEXT', 'a control character');
  if (!text.endsWith('\n')) refuse('TEXT', 'no LF at the end');
  return text;
}

/**
 * Parses a decimal.
 * @param {string} text the text
 * @returns {number} 0 to MAX_DECIMAL, exact
 */
export function decimal(text) {
  if (!/^(?:0|[1-9][0-9]*)$/.test(text)) refuse('TEXT', `${quote(text)} is not a decimal`);
  if (text.length > 16 || Number(text) > MAX_DECIMAL) refuse('TEXT', `${quote(text)} is above 2^53-1`);
  return Number(text);
}

/**
 * Checks a hash.
 * @param {string} text the text
 * @returns {string} the same text
 */
export function hash(text) {
  if (!/^[0-9a-f]{64}$/.test(text)) refuse('TEXT', `${quote(text)} is not a hash`);
  return text;
}

/**
 * Checks a date.
 * @param {string} text the text, YYYY-MM-DD
 * @returns {string} the same text; dates compare as texts
 */
export function date(text) {
  const exists = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text) && Number(text.slice(0, 4)) >= 1970;
  const at = new Date(`${text}T00:00:00Z`);
  if (!exists || Number.isNaN(at.getTime()) || at.toISOString().slice(0, 10) !== text) {
    refuse('TEXT', `${quote(text)} is not a date`);
  }
  return text;
}

/**
 * Checks a time.
 * @param {string} text the text, YYYY-MM-DDThh:mm:ssZ
 * @returns {string} the same text; times compare as texts
 */
export function time(text) {
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$/.test(text)) {
    refuse('TEXT', `${quote(text)} is not a time`);
  }
  date(text.slice(0, 10));
  return text;
}

/**
 * Checks a code.
 * @param {string} text the text
 * @returns {string} the same text
 */
export function code(text) {
  if (text.length > 32 || !/^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/.test(text)) refuse('TEXT', `${quote(text)} is not a code`);
  return text;
}

/**
 * Parses an origin.
 * @param {string} text the text
 * @returns {{tenant: string, destination: string, logID: string}} its parts
 */
export function origin(text) {
  const parts = text.split('/');
  const [host, product, tenant, destination, logID] = parts;
  const isLabel = (part) => part.length <= 40 && /^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(part);
  if (parts.length !== 5 || host !== 'wolkvox.com' || product !== 'backup' || !isLabel(tenant)
    || !isLabel(destination) || !/^[0-9a-f]{32}$/.test(logID)) {
    refuse('TEXT', `${quote(text)} is not an origin`);
  }
  return { tenant, destination, logID };
}

/**
 * Parses indexes: ascending, disjoint ranges that do not touch. Their limits are not checked here.
 * @param {string} text the text
 * @returns {Array<[number, number]>} the ranges, first and last index of each
 */
export function indexes(text) {
  const ranges = [];
  let before = -2;
  for (const part of text.split(',')) {
    const [first, last, ...rest] = part.split('-').map(decimal);
    if (rest.length > 0 || last <= first) refuse('TEXT', `${quote(part)} is not a range of indexes`);
    if (first <= before + 1) refuse('TEXT', `the range ${quote(part)} is not after, and apart from, the one before`);
    before = last ?? first;
    ranges.push([first, before]);
  }
  return ranges;
}

/**
 * Decodes canonical standard base64 with padding.
 * @param {string} text the text
 * @returns {Buffer} the bytes
 */
export function base64(text) {
  const bytes = Buffer.from(text, 'base64');
  if (text === '' || bytes.toString('base64') !== text) refuse('TEXT', `${quote(text)} is not canonical base64`);
  return bytes;
}

/**
 * Decodes an escaped value. A lone `-` (none) is for the caller to recognise before.
 * @param {string} text the escaped text
 * @param {number} maxBytes the greatest number of bytes in the value
 * @returns {string} the value, one character (0 to 255) per byte
 */
export function unescape(text, maxBytes) {
  if (text === '' || text === '-' || /[^\x21-\x7e]|%(?![0-9a-f]{2})/.test(text)) {
    refuse('TEXT', `${quote(text)} is not an escaped value`);
  }
  const value = text.includes('%') && text !== '%2d' ? text.replace(/%(..)/g, unescapeByte) : text === '%2d' ? '-' : text;
  if (value.length > maxBytes) refuse('TEXT', `a value of ${value.length} bytes, above ${maxBytes}`);
  return value;
}

/**
 * Decodes one escaped byte, which must be one that is never written plainly.
 * @param {string} whole the escape
 * @param {string} digits its two digits
 * @returns {string} the byte as a character
 */
function unescapeByte(whole, digits) {
  const value = Number.parseInt(digits, 16);
  if (value >= 0x21 && value <= 0x7e && value !== 0x25) refuse('TEXT', `${whole} escapes a byte that stands for itself`);
  return String.fromCharCode(value);
}
