/** Entries: their kinds, their keys and the values that these may have (proto/README.md 1.3). */
import * as forms from './forms.mjs';
import { MAX_ENTRY_BYTES, MAX_ITEMS, MAX_RANGES, quote, refuse } from './forms.mjs';
import { parseNote, verifier } from './note.mjs';
import { sha256 } from './tree.mjs';

const EMPTY_ROOT = sha256(Buffer.alloc(0)).toString('hex');

/**
 * @typedef {object} Entry one entry as understood
 * @property {string} kind its kind
 * @property {boolean} receipt whether it is made by the agent
 * @property {string} origin the origin that it names
 * @property {Record<string, any>} values its values by key; none for `assigned`
 * @property {import('./note.mjs').Note} note the note
 * @property {{note: import('./note.mjs').Note, origin: string, agentKey: import('./note.mjs').Verifier}} [request]
 *   the agent's request, of `assigned` only
 */

/**
 * Makes a form that is one of some words.
 * @param {...string} words the words
 * @returns {(text: string) => string} the form
 */
function oneOf(...words) {
  return (text) => (words.includes(text) ? text : refuse('TEXT', `${quote(text)} is none of ${words.join(', ')}`));
}

/**
 * Makes a form that may be `-`.
 * @template T
 * @param {(text: string) => T} form the form otherwise
 * @returns {(text: string) => T | null} the form; null is none
 */
function orNone(form) {
  return (text) => (text === '-' ? null : form(text));
}

/**
 * Makes the form of a decimal within bounds that are no limits of part 5.
 * @param {number} least the least value
 * @param {number} [most] the greatest value
 * @returns {(text: string) => number} the form
 */
function decimalWithin(least, most = forms.MAX_DECIMAL) {
  return (text) => {
    const value = forms.decimal(text);
    if (value < least || value > most) refuse('TEXT', `${value} is not in ${least} to ${most}`);
    return value;
  };
}

/**
 * Parses the head that a genesis continues.
 * @param {string} text `ORIGIN SIZE ROOT`
 * @returns {{origin: string, size: number, root: string}} the head
 */
function previousHead(text) {
  const parts = text.split(' ');
  if (parts.length !== 3) refuse('TEXT', `${quote(text)} is not ORIGIN SIZE ROOT`);
  forms.origin(parts[0]);
  return { origin: parts[0], size: decimalWithin(1)(parts[1]), root: forms.hash(parts[2]) };
}

/**
 * Parses the counts of interactions without a recording.
 * @param {string} text `CODE:COUNT` joined by `,`
 * @returns {number[]} the counts
 */
function unrecorded(text) {
  let before = '';
  return text.split(',').map((part) => {
    const [name, count, ...rest] = part.split(':');
    if (count === undefined || rest.length > 0) refuse('TEXT', `${quote(part)} is not CODE:COUNT`);
    forms.code(name);
    if (name <= before) refuse('TEXT', `the code ${quote(name)} is not after the one before`);
    before = name;
    return decimalWithin(1)(count);
  });
}

/**
 * Checks how a delivered receipt was established.
 * @param {string} text the text
 * @returns {string} the same text
 */
function method(text) {
  const parts = /^provider-sha256-parts (.*)$/.exec(text);
  if (parts !== null) {
    decimalWithin(1)(parts[1]);
    return text;
  }
  return oneOf('readback-sha256 uncached', 'readback-sha256 cached', 'provider-sha256', 'peer-readback-sha256',
    'peer-readback-sha512', 'peer-readback-sha1', 'peer-readback-md5', 'provider-md5')(text);
}

const MANIFEST = { manifest: decimalWithin(1), root: forms.hash };
const RECEIPT = { ...MANIFEST, number: decimalWithin(1), previous: orNone(forms.hash), indexes: forms.indexes };

/** The keys of every kind after `origin` and `time`, in their order. */
const KINDS = {
  genesis: {
    storage: oneOf('wolkvox', 'rsync', 'azblob', 's3'),
    'window-days': decimalWithin(1, 3650),
    'server-key': verifier,
    previous: orNone(previousHead),
  },
  assigned: {},
  rekeyed: { 'old-key': verifier, 'new-key': verifier },
  sealed: {
    ...MANIFEST,
    night: forms.date,
    items: forms.decimal,
    bytes: forms.decimal,
    interactions: orNone(forms.decimal),
    unrecorded: orNone(unrecorded),
    deadline: forms.time,
    'source-kept-until': orNone(forms.time),
  },
  closed: {
    ...MANIFEST,
    confirmed: forms.decimal,
    expired: forms.decimal,
    waived: forms.decimal,
    released: forms.decimal,
    withdrawn: forms.decimal,
    forgotten: forms.decimal,
  },
  extended: { ...MANIFEST, deadline: forms.time, reason: oneOf('outage', 'courtesy') },
  withdrawn: {
    ...MANIFEST,
    indexes: forms.indexes,
    reason: oneOf('changed', 'damaged', 'lost', 'name', 'error'),
    replacement: orNone(decimalWithin(1)),
  },
  forgotten: { ...MANIFEST, indexes: forms.indexes },
  retired: { reason: oneOf('ended', 'moved', 'tail-lost') },
  delivered: { ...RECEIPT, method, brought: oneOf('automatic', 'by-hand') },
  lost: { ...RECEIPT, finding: oneOf('missing', 'altered') },
  waived: { ...RECEIPT, reason: oneOf('declined', 'not-needed', 'kept-elsewhere') },
  released: { ...RECEIPT, reason: oneOf('retention', 'command') },
  erased: { ...RECEIPT, outcome: oneOf('deleted', 'absent', 'immutable', 'no-consent', 'failed') },
};

const RECEIPTS = new Set(['delivered', 'lost', 'waived', 'released', 'erased']);

/**
 * Parses an entry: the reasons LIMIT, TEXT and VERSION. Of the limits, the size alone goes before TEXT.
 * @param {Buffer} leaf the entry's exact bytes
 * @returns {Entry} the entry, its signatures not verified
 */
export function parseEntry(leaf) {
  if (leaf.length > MAX_ENTRY_BYTES) refuse('LIMIT', `${leaf.length} bytes, above ${MAX_ENTRY_BYTES}`);
  const note = parseNote(leaf);
  const end = note.text.indexOf('\n');
  const match = /^wolkvox-backup entry ([^ ]+) v([1-9][0-9]*)$/.exec(note.text.slice(0, end));
  if (match === null) return refuse('TEXT', 'the first line is not that of an entry');
  const [, kind, version] = match;
  forms.code(kind);
  forms.decimal(version);
  if (!Object.hasOwn(KINDS, kind) || version !== '1') refuse('VERSION', `an entry ${quote(kind)} v${quote(version)}`);
  const body = note.text.slice(end + 1);
  const entry = kind === 'assigned' ? parseAssigned(body) : parseValues(body, KINDS[kind]);
  checkTogether(kind, entry);
  checkLimits(entry.values);
  return { kind, receipt: RECEIPTS.has(kind), note, ...entry };
}

/**
 * Checks the limits of values. They can be exceeded only by a text that is canonical otherwise.
 * @param {Record<string, any>} values the entry's values
 */
function checkLimits({ items, indexes }) {
  if (items !== undefined && items > MAX_ITEMS) refuse('LIMIT', `${items} items, above ${MAX_ITEMS}`);
  if (indexes === undefined) return;
  if (indexes.length > MAX_RANGES) refuse('LIMIT', `${indexes.length} ranges, above ${MAX_RANGES}`);
  if (indexes.at(-1)[1] >= MAX_ITEMS) refuse('LIMIT', `the index ${indexes.at(-1)[1]} is not below ${MAX_ITEMS}`);
}

/**
 * Parses lines of keys and values.
 * @param {string} body the text after the first line
 * @param {Record<string, (text: string) => any>} keys the keys after origin and time with their forms
 * @returns {{origin: string, values: Record<string, any>}} what was understood
 */
function parseValues(body, keys) {
  const lines = body.split('\n').slice(0, -1);
  const expected = Object.entries({ origin: originText, time: forms.time, ...keys });
  const values = {};
  expected.forEach(([key, form], i) => {
    const line = lines[i] ?? refuse('TEXT', `no line ${quote(key)}`);
    if (!line.startsWith(`${key} `)) refuse('TEXT', `${quote(line)} where the key ${quote(key)} must stand`);
    values[key] = form(line.slice(key.length + 1));
  });
  if (lines.length !== expected.length) refuse('TEXT', `a line ${quote(lines[expected.length])} too many`);
  return { origin: values.origin, values };
}

/**
 * Checks an origin.
 * @param {string} text the text
 * @returns {string} the same text
 */
function originText(text) {
  forms.origin(text);
  return text;
}

/**
 * Parses the text of `assigned`, which holds the agent's request as a whole note.
 * @param {string} body the text after the first line
 * @returns {{origin: string, values: object, request: Entry['request']}} what was understood
 */
function parseAssigned(body) {
  const lines = body.split('\n');
  if (lines[2] !== 'request') refuse('TEXT', 'the line "request" does not stand after origin and time');
  const { origin } = parseValues(`${lines[0]}\n${lines[1]}\n`, {});
  const note = parseNote(Buffer.from(lines.slice(3).join('\n')));
  const [first, named, key, ...rest] = note.text.split('\n');
  if (first !== 'wolkvox-backup request assign v1') refuse('TEXT', `${quote(first)} is not the first line of a request`);
  if (!named?.startsWith('origin ') || !key?.startsWith('agent-key ') || rest.length !== 1) {
    refuse('TEXT', 'a request has the keys origin and agent-key');
  }
  const request = { note, origin: originText(named.slice('origin '.length)), agentKey: verifier(key.slice('agent-key '.length)) };
  const suffix = request.agentKey.name.slice(request.origin.length);
  if (!request.agentKey.name.startsWith(request.origin) || !/^\/agent\/[0-9a-f]{16}$/.test(suffix)) {
    refuse('TEXT', `the agent's key has the name ${quote(request.agentKey.name)}`);
  }
  return { origin, values: {}, request };
}

/**
 * Checks what two or more values of an entry must satisfy together.
 * @param {string} kind the entry's kind
 * @param {{origin: string, values: Record<string, any>, request?: Entry['request']}} entry the entry
 */
function checkTogether(kind, { origin, values, request }) {
  if (kind === 'genesis') {
    if (values['server-key'].name !== origin) refuse('TEXT', 'server-key: its name is not the origin');
    if (values.previous !== null) checkContinued(forms.origin(origin), forms.origin(values.previous.origin));
  }
  if (kind === 'rekeyed') {
    if (values['old-key'].name !== origin) refuse('TEXT', 'old-key: its name is not the origin');
    if (values['new-key'].name !== origin) refuse('TEXT', 'new-key: its name is not the origin');
    if (values['new-key'].text === values['old-key'].text) refuse('TEXT', 'new-key: the same as old-key');
  }
  if (kind === 'sealed') checkSealed(values);
  if (request !== undefined && request.origin !== origin) refuse('TEXT', 'request: another origin than the entry');
  if (RECEIPTS.has(kind) && (values.number === 1) !== (values.previous === null)) {
    refuse('TEXT', 'previous: none for number 1, and only there');
  }
}

/**
 * Checks that a continued log is another log of the same destination.
 * @param {ReturnType<typeof forms.origin>} current this log
 * @param {ReturnType<typeof forms.origin>} previous the log before
 */
function checkContinued(current, previous) {
  if (previous.tenant !== current.tenant || previous.destination !== current.destination) {
    refuse('TEXT', 'previous: a log of another tenant or destination');
  }
  if (previous.logID === current.logID) refuse('TEXT', 'previous: the same log');
}

/**
 * Checks the counts of a `sealed`.
 * @param {Record<string, any>} values its values
 */
function checkSealed(values) {
  if (values.items === 0 && (values.root !== EMPTY_ROOT || values.bytes !== 0)) {
    refuse('TEXT', 'no items, but not the root of the empty tree and 0 bytes');
  }
  if (values.unrecorded === null) return;
  if (values.interactions === null) refuse('TEXT', 'unrecorded: counts, where interactions is none');
  let left = values.interactions;
  for (const count of values.unrecorded) {
    if (count > left) refuse('TEXT', 'unrecorded: more than interactions');
    left -= count;
  }
}

/**
 * Tells whether an entry names an item.
 * @param {Entry} entry the entry
 * @param {number} manifest the item's manifest
 * @param {number} index the item's index
 * @returns {boolean} whether it names the manifest and, where it has indexes, the index
 */
export function namesItem(entry, manifest, index) {
  const { values } = entry;
  if (values.manifest !== manifest) return false;
  return values.indexes === undefined || values.indexes.some(([first, last]) => first <= index && index <= last);
}
