/** Tests of entries that are refused, each for its reason of 3.1. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEADLINE, Key, Ledger, ORIGIN, line, note, short } from './generate.mjs';
import { parseEntry } from './entry.mjs';
import { Fold } from './fold.mjs';

const other = new Key(ORIGIN, 77);
const otherOrigin = ORIGIN.replace('acme', 'other');

/** The same sealed values with some replaced, as entry 3. */
function sealedWith(values) {
  return short().sealed([line('c')], values);
}

/** Every case: the reason, and a ledger whose last entry is refused for it. */
const refusedCases = [
  ['LIMIT', 'too large', () => short().add(Buffer.alloc(65537, 'a'))],
  ['LIMIT', 'too many ranges', () => short().about('forgotten', 1, { indexes: Array.from({ length: 4097 }, (_, i) => 2 * i).join(',') })],
  ['LIMIT', 'index too great', () => short().about('forgotten', 1, { indexes: '4000000' })],
  ['LIMIT', 'too many items', () => sealedWith({ items: 4000001 })],
  ['TEXT', 'decimal too great', () => sealedWith({ bytes: '9007199254740992' })],
  ['TEXT', 'beside a limit', () => short().about('forgotten', 1, { indexes: '4000000,' })],
  ['TEXT', 'not an entry', () => short().add(note('hello\n', short().server))],
  ['TEXT', 'no signature', () => short().add(Buffer.from(short().text('retired', { reason: 'ended' })))],
  ['TEXT', 'carriage return', () => short().serverEntry('retired', { reason: 'ended\r' })],
  ['TEXT', 'two spaces', () => short().serverEntry('retired', { reason: ' ended' })],
  ['TEXT', 'unknown reason', () => short().serverEntry('retired', { reason: 'bored' })],
  ['TEXT', 'key missing', () => short().serverEntry('retired', {})],
  ['TEXT', 'key too many', () => short().serverEntry('retired', { reason: 'ended', more: '1' })],
  ['TEXT', 'keys in another order', () => short().add(note(short().text('forgotten', { root: 'ab'.repeat(32), manifest: 1, indexes: 0 }), short().server))],
  ['TEXT', 'leap second', () => sealedWith({ deadline: '2025-06-30T23:59:60Z' })],
  ['TEXT', 'no such date', () => sealedWith({ night: '2025-02-29' })],
  ['TEXT', 'year too early', () => sealedWith({ night: '1969-12-31' })],
  ['TEXT', 'hour 24', () => sealedWith({ deadline: '2025-06-30T24:00:00Z' })],
  ['TEXT', 'leading zero', () => sealedWith({ bytes: '0100' })],
  ['TEXT', 'unrecorded without interactions', () => sealedWith({ unrecorded: 'missed:1' })],
  ['TEXT', 'unrecorded above interactions', () => sealedWith({ interactions: 3, unrecorded: 'a:2,b:2' })],
  ['TEXT', 'unrecorded in another order', () => sealedWith({ interactions: 9, unrecorded: 'b:2,a:2' })],
  ['TEXT', 'unrecorded of none', () => sealedWith({ interactions: 9, unrecorded: 'a:0' })],
  ['TEXT', 'empty with bytes', () => short().sealed([], { bytes: 1 })],
  ['TEXT', 'empty with a root', () => short().sealed([], { root: 'ab'.repeat(32) })],
  ['TEXT', 'ranges touch', () => short().about('forgotten', 1, { indexes: '0,1' })],
  ['TEXT', 'range of one', () => short().about('forgotten', 1, { indexes: '0-0' })],
  ['TEXT', 'ranges descend', () => short().about('forgotten', 1, { indexes: '5,1' })],
  ['TEXT', 'no indexes', () => short().about('forgotten', 1, { indexes: '' })],
  ['TEXT', 'part size 0', () => short().delivered(1, '0', { method: 'provider-sha256-parts 0' })],
  ['TEXT', 'window too long', () => new Ledger().genesis({ 'window-days': 3651 })],
  ['TEXT', 'continues itself', () => new Ledger().genesis({ previous: `${ORIGIN} 1 ${'ab'.repeat(32)}` })],
  ['TEXT', 'continues another tenant', () => new Ledger().genesis({ previous: `${otherOrigin} 1 ${'ab'.repeat(32)}` })],
  ['TEXT', 'key of another name', () => new Ledger().genesis({ 'server-key': new Key('somebody', 1).verifier })],
  ['TEXT', 'key with another ID', () => new Ledger().genesis({ 'server-key': new Key(ORIGIN, 1).verifier.replace(/\+.{8}\+/, '+00000000+') })],
  ['TEXT', 'agent of another form', () => short().assigned(new Key(`${ORIGIN}/agent/short`, 9))],
  ['VERSION', 'unknown kind', () => short().serverEntry('paused', {})],
  ['VERSION', 'unknown version', () => short().add(note(short().text('retired', { reason: 'ended' }).replace(' v1\n', ' v2\n'), short().server))],
  ['ORIGIN', 'another origin', () => short().serverEntry('retired', { origin: otherOrigin, reason: 'ended' })],
  ['TEXT', 'a request for another origin', () => {
    const ledger = short();
    return ledger.add(note(ledger.assignedText(new Key(`${otherOrigin}/agent/0011223344556677`, 9), otherOrigin), ledger.server));
  }],
  ['GENESIS', 'no genesis first', () => new Ledger().assigned()],
  ['GENESIS', 'a second genesis', () => short().genesis()],
  ['RETIRED', 'sealed after retired', () => short().serverEntry('retired', { reason: 'ended' }).sealed([line('c')])],
  ['RETIRED', 'receipt after retired and rekeyed', () => short().serverEntry('retired', { reason: 'ended' }).rekeyed(other).delivered(1, '0')],
  ['REPLACEMENT', 'another entry than the replacement', () => withdrawnFor(2).delivered(1, '0')],
  ['REPLACEMENT', 'rekeyed before the replacement', () => withdrawnFor(2).rekeyed(other)],
  ['REPLACEMENT', 'a replacement that is not next', () => withdrawnFor(3)],
  ['REPLACEMENT', 'a replacement in the past', () => withdrawnFor(1)],
  ['KEY', 'a receipt without agent', () => new Ledger().genesis().sealed([line('a')]).delivered(1, '0')],
  ['KEY', 'a receipt of the server', () => {
    const ledger = short();
    ledger.agent = ledger.server;
    return ledger.delivered(1, '0');
  }],
  ['KEY', 'the agent before', () => {
    const ledger = short();
    const before = ledger.agent;
    ledger.assigned(new Key(`${ORIGIN}/agent/0011223344556677`, 9));
    ledger.agent = before;
    return ledger.delivered(1, '0');
  }],
  ['KEY', 'another server key', () => short().add(note(short().text('retired', { reason: 'ended' }), other))],
  ['KEY', 'old key is not current', () => {
    const ledger = short();
    const text = ledger.text('rekeyed', { 'old-key': other.verifier, 'new-key': new Key(ORIGIN, 78).verifier });
    return ledger.add(note(text, ledger.server, new Key(ORIGIN, 78)));
  }],
  ['SIGNATURE', 'a doubled signature', () => short().add(note(short().text('retired', { reason: 'ended' }), short().server, short().server))],
  ['SIGNATURE', 'an additional signature', () => short().add(note(short().text('retired', { reason: 'ended' }), short().server, other))],
  ['SIGNATURE', 'rekeyed by the old key alone', () => {
    const ledger = short();
    return ledger.add(note(ledger.text('rekeyed', { 'old-key': ledger.server.verifier, 'new-key': other.verifier }), ledger.server));
  }],
  ['SIGNATURE', 'rekeyed with a third key', () => {
    const ledger = short();
    return ledger.add(note(ledger.text('rekeyed', { 'old-key': ledger.server.verifier, 'new-key': other.verifier }), ledger.server, new Key(ORIGIN, 78)));
  }],
  ['SIGNATURE', 'of another text', () => {
    const ledger = short();
    const [text, moved] = [ledger.text('retired', { reason: 'ended' }), ledger.text('retired', { reason: 'moved' })];
    return ledger.add(Buffer.from(`${text}\n${ledger.server.line(moved)}`));
  }],
  ['SIGNATURE', 'a request signed by another key', () => {
    const ledger = short();
    const key = new Key(`${ORIGIN}/agent/0011223344556677`, 9);
    return ledger.add(note(ledger.assignedText(key, ORIGIN, ledger.agent), ledger.server));
  }],
  ['MANIFEST', 'a gap', () => sealedWith({ manifest: 3 })],
  ['MANIFEST', 'sealed again', () => sealedWith({ manifest: 1 })],
  ['MANIFEST', 'not sealed', () => short().delivered(2, '0')],
  ['TEXT', 'manifest 0', () => short().delivered(0, '0')],
  ['ROOT', 'another root', () => short().delivered(1, '0', { root: 'ab'.repeat(32) })],
  ['INDEX', 'index at items', () => short().delivered(1, '0-2')],
  ['TEXT', 'receipt 0', () => short().delivered(1, '0', { number: 0, previous: 'ab'.repeat(32) })],
  ['CHAIN', 'starts with 2', () => short().delivered(1, '0', { number: 2, previous: 'ab'.repeat(32) })],
  ['TEXT', 'number 1 with previous', () => short().delivered(1, '0', { previous: 'ab'.repeat(32) })],
  ['CHAIN', 'the same number', () => short().delivered(1, '0').delivered(1, '0').delivered(1, '0', { number: 2 })],
  ['CHAIN', 'number 1 again', () => short().delivered(1, '0').delivered(1, '0', { number: 1, previous: '-' })],
  ['CHAIN', 'another previous', () => short().delivered(1, '0').delivered(1, '0', { previous: 'ab'.repeat(32) })],
  ['TEXT', 'none as previous', () => short().delivered(1, '0').delivered(1, '0', { previous: '-' })],
  ['DEADLINE', 'the same deadline', () => short().about('extended', 1, { deadline: DEADLINE, reason: 'outage' })],
];

/** A short ledger with a withdrawal that names a replacement. */
function withdrawnFor(replacement) {
  return short().about('withdrawn', 1, { indexes: '0', reason: 'changed', replacement });
}

for (const [reason, name, make] of refusedCases) {
  test(`refused for ${reason}: ${name}`, () => {
    const { leaves } = make();
    const fold = new Fold();
    leaves.slice(0, -1).forEach((leaf) => fold.append(parseEntry(leaf), leaf));
    assert.throws(() => fold.append(parseEntry(leaves.at(-1)), leaves.at(-1)), (error) => error.reason === reason || assert.fail(error.stack));
  });
}
